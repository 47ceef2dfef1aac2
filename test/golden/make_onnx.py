"""Writes data/onnx/: small networks as torch.onnx exports them, by both of its exporters, with PyTorch's own outputs in float64.

Each file holds the bytes of a network (`model`), its inputs (`input.<name>`) and its outputs (`output.<name>`). `external.onnx` keeps its
weights in a file beside it.
"""

import copy
import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.numpy import save_file

DATA = Path(__file__).parent / "data" / "onnx"
warnings.filterwarnings("ignore")


def conv(i, o, kernel, **options):
    return nn.Sequential(nn.Conv2d(i, o, kernel, bias=False, **options), nn.BatchNorm2d(o, eps=1e-3), nn.ReLU())


class Inception(nn.Module):
    """Branches of several windows, pooling of both kinds, pictures of any size in bytes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, 3, stride=2), conv(8, 8, (3, 5), padding=(1, 2)))
        self.one = conv(8, 6, 1)
        self.cross = nn.Sequential(conv(8, 4, 1), conv(4, 6, (1, 7), padding=(0, 3)), conv(6, 6, (7, 1), padding=(3, 0)))
        self.pooled = conv(8, 4, 1)
        self.down = conv(16, 10, 3, stride=2)
        self.fc = nn.Linear(26, 10)

    def forward(self, x):
        x = self.stem(x / 127.5 - 1)
        average = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        x = torch.cat([self.one(x), self.cross(x), self.pooled(average)], 1)
        x = torch.cat([self.down(x), F.max_pool2d(x, 3, stride=2)], 1)
        pool = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return pool, self.fc(pool)


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.LeakyReLU(0.1),
            nn.Conv2d(o, o, 3, padding=2, dilation=2, groups=2, bias=False), nn.BatchNorm2d(o),
        )  # fmt: skip
        self.skip = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        return F.hardswish(self.body(x) + self.skip(x))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.SiLU(), nn.MaxPool2d(3, 2, 1, ceil_mode=True))
        self.blocks = nn.Sequential(Block(8, 12, 1), Block(12, 16, 2))
        self.gate = nn.Sequential(nn.Conv2d(16, 4, 1), nn.ReLU6(), nn.Conv2d(4, 16, 1), nn.Hardsigmoid())
        self.fc = nn.Linear(16, 7)

    def forward(self, x):
        x = self.blocks(self.stem(x))
        x = x * self.gate(x.mean((2, 3), keepdim=True))
        return F.log_softmax(self.fc(x.mean((2, 3))), 1)


class ViT(nn.Module):
    def __init__(self, d=24, heads=3, side=4):
        super().__init__()
        self.heads = heads
        self.patch = nn.Conv2d(3, d, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, d))
        self.places = nn.Parameter(torch.randn(1, side * side + 1, d))
        self.norms = nn.ModuleList([nn.LayerNorm(d, eps=1e-6) for _ in range(3)])
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        N, T, d = x.shape
        q, k, v = self.qkv(self.norms[0](x)).reshape(N, T, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(N, T, d))
        x = x + self.mlp(self.norms[1](x))
        return self.norms[2](x)[:, 0]


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(6, 8, 3, stride=2, padding=1, output_padding=1, groups=2)
        self.group, self.instance = nn.GroupNorm(4, 8), nn.InstanceNorm2d(8, affine=True)
        self.wide = nn.ConvTranspose2d(8, 8, (4, 2), stride=(2, 1), padding=(1, 0), bias=False)
        self.slope = nn.PReLU(8)
        self.last = nn.Conv2d(8, 12, 3)
        self.line = nn.Conv1d(3, 4, 5, stride=2, padding=2)

    def forward(self, x):
        x = F.silu(self.group(self.up(x)))
        x = self.slope(self.instance(self.wide(x)))
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = self.last(F.pad(x, (1, 1, 1, 1), mode="reflect"))
        x = F.pixel_shuffle(x, 2)
        smooth = F.interpolate(x, size=(9, 31), mode="bilinear", align_corners=False)
        sharp = F.interpolate(x, size=(11, 17), mode="bicubic", align_corners=True)
        return torch.tanh(smooth), self.line(sharp.mean(2))


class Text(nn.Module):
    """A causal layer over tokens, read at the last of each text: the one with the largest number."""

    def __init__(self, d=16, words=30, length=9):
        super().__init__()
        self.words, self.places = nn.Embedding(words, d), nn.Parameter(torch.randn(length, d))
        self.qkv, self.norm = nn.Linear(d, 3 * d), nn.LayerNorm(d)

    def forward(self, tokens):
        x = self.words(tokens) + self.places
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        T = tokens.shape[1]
        mask = torch.full((T, T), float("-inf")).triu(1).to(x.dtype)
        x = x + torch.softmax(q @ k.transpose(1, 2) / 4 + mask, -1) @ v
        count = torch.cumsum((tokens > 0).to(x.dtype), 1).unsqueeze(-1)
        x = torch.where(tokens.unsqueeze(-1) > 0, x / count.clamp(min=1), torch.zeros_like(x))
        return x[torch.arange(x.shape[0]), tokens.argmax(-1)]


def randomise(net):
    """Statistics as a trained network has them."""
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm, nn.LayerNorm)):
            for name in ("weight", "running_var"):
                if getattr(module, name, None) is not None:
                    nn.init.uniform_(getattr(module, name), 0.5, 1.5)
            for name in ("bias", "running_mean"):
                if getattr(module, name, None) is not None:
                    nn.init.uniform_(getattr(module, name), -0.2, 0.2)
    return net.eval()


def plain(model):
    """Without the stack traces that the exporter leaves at every node: paths of the machine that it ran on."""
    for part in [model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info]:
        for field in ("doc_string", "metadata_props"):
            part.ClearField(field)
    return model


def write(name, net, inputs, outputs, dynamic=None, dynamo=False, opset=17):
    net = randomise(net)
    buffer = io.BytesIO()
    options = dict(input_names=list(inputs), output_names=outputs, opset_version=opset, dynamo=dynamo)
    if dynamo:
        options.update(external_data=False, dynamic_shapes=dynamic, verbose=False)
    else:
        # Batch norms stay by themselves.
        options.update(dynamic_axes=dynamic, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
    torch.onnx.export(net, tuple(inputs.values()), buffer, **options)
    model = plain(onnx.load_from_string(buffer.getvalue())).SerializeToString()
    wide = copy.deepcopy(net).double()
    found = wide(*[x.double() if x.is_floating_point() else x for x in inputs.values()])
    found = found if isinstance(found, tuple) else (found,)
    tensors = {"model": np.frombuffer(model, np.uint8)}
    tensors.update({f"input.{key}": value.numpy().astype(np.float32 if value.is_floating_point() else np.int32) for key, value in inputs.items()})
    tensors.update({f"output.{key}": value.detach().numpy().astype(np.float32) for key, value in zip(outputs, found)})
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, DATA / f"{name}.safetensors")
    ops = sorted({node.op_type for node in onnx.load_from_string(model).graph.node})
    print(f"{name}: {len(model)} bytes, {', '.join(ops)}")


def distance(a, b):
    """Of Gaussians with the means and covariances of two sets of features; Heusel et al. 2017."""
    (m, s), (n, t) = [(x.mean(0), np.cov(x, rowvar=False)) for x in (a, b)]
    root = np.sqrt(np.maximum(np.linalg.eigvals(s @ t).real, 0)).sum()
    return ((m - n) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * root


def evaluation(net):
    """Two sets of pictures, and what is between them by the network's features."""
    rng = np.random.default_rng(1)
    sets = {"samples": rng.integers(0, 200, (41, 19, 22, 3)), "reference": rng.integers(20, 256, (37, 19, 22, 3))}
    pools = []
    for pictures in sets.values():
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).double()
        pools.append(copy.deepcopy(net).double()(x)[0].detach().numpy())
    tensors = {key: value.astype(np.uint8) for key, value in sets.items()}
    save_file({**tensors, "fid": np.float64([distance(*pools)])}, DATA / "evaluation.safetensors")


def main():
    DATA.mkdir(exist_ok=True)
    torch.manual_seed(0)
    batch = torch.export.Dim("n")
    pictures = torch.randint(0, 256, (3, 3, 37, 29)).float()
    axes = {"x": {0: "batch", 2: "height", 3: "width"}, "pool": {0: "batch"}, "logits": {0: "batch"}}
    inception = Inception()
    write("inception", inception, {"x": pictures}, ["pool", "logits"], axes)
    write("resnet", ResNet(), {"x": torch.randn(2, 3, 33, 30)}, ["logits"], ({0: batch},), True, 18)
    write("vit", ViT(), {"x": torch.randn(2, 3, 16, 16)}, ["pool"], ({0: batch},), True, 20)
    write("decoder", Decoder(), {"x": torch.randn(2, 6, 3, 4)}, ["picture", "line"])
    tokens = torch.tensor([[3, 7, 29, 0, 0, 0, 0, 0, 0], [5, 1, 4, 1, 9, 2, 6, 28, 0]])
    write("text", Text(), {"tokens": tokens}, ["features"], {"tokens": {0: "n"}}, opset=14)
    external(nn.Sequential(nn.Linear(32, 48), nn.ReLU(), nn.Linear(48, 8)).eval())
    evaluation(inception)


def external(net):
    x = torch.randn(3, 32)
    torch.onnx.export(net, (x,), DATA / "external.onnx", input_names=["x"], output_names=["y"], dynamo=True, verbose=False)
    onnx.save(plain(onnx.load(DATA / "external.onnx", load_external_data=False)), DATA / "external.onnx")
    y = copy.deepcopy(net).double()(x.double()).detach().float()
    save_file({"input.x": x.numpy(), "output.y": y.numpy()}, DATA / "external.safetensors")


def tidy():
    for path in DATA.iterdir():
        path.chmod(0o644)


if __name__ == "__main__":
    main()
    tidy()
