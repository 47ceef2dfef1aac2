"""Writes data/variant-<case>.safetensors: tiny transformers of the kinds that came after DiT, written from their papers' formulas:
forward pass and the gradients of Σ out·r by every parameter. Names are those of the authors' checkpoints where there are any.

LightningDiT (arXiv 2501.01423): RMSNorm, SwiGLU, rotary positions on the grid. PixArt-α (2310.00426): adaLN-single, cross-attention to
a sequence with a mask. Norms of queries and keys (2302.05442). Tensors: param.*, grad.*, input.*, output.out; metadata `config`: the
keys of models/dit.ts.
"""

import json
import math

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from dit_reference import LN_EPS, modulate, timestep_embedding
from make_forward import DATA

COMMON = dict(patchSize=2, inChannels=3, hiddenSize=24, numHeads=3, depth=1, mlpRatio=2, numClasses=5, learnSigma=False)

# name: (changes to COMMON, t, y)
CASES = {
    "not-square": (dict(inputSize=[6, 10]), [10, 500, 999], [0, 5, 2]),
    "unconditional": (dict(inputSize=[4, 6], numClasses=0), [345.5, 20, 980], None),
    "lightning": (dict(inputSize=[3, 5], patchSize=1, norm="rms", mlp="swiglu", rope=True, mlpRatio=4), [1, 333, 998], [5, 0, 3]),
    "lightning-qk": (dict(inputSize=[5, 3], patchSize=1, norm="rms", qkNorm=True, rope=True, learnSigma=True), [720, 15, 501], [1, 5, 0]),
    "qk-norm": (dict(inputSize=6, qkNorm=True, hiddenSize=20, numHeads=4, mlpRatio=1), [20, 40, 900], [1, 2, 5]),
    "pixart": (dict(inputSize=[6, 4], numClasses=0, modulation="shared", sequence=dict(width=11, length=7), depth=2, learnSigma=True), [3, 555, 998], None),
    "pixart-one": (dict(inputSize=[2, 6], modulation="shared", sequence=dict(width=5, length=3), numClasses=4), [77, 640, 3], [4, 0, 2]),
    "pooled": (dict(inputSize=4, pooled=dict(width=9)), [100, 200, 900], [0, 5, 1]),
}


class Net:
    def __init__(self, cfg, seed):
        self.cfg, self.params = {"norm": "layer", "mlp": "gelu", "modulation": "block", "rope": False, "qkNorm": False, **COMMON, **cfg}, {}
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self, *shape):
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64).float().double()

    def param(self, name, *shape, gain=None, around=0.0):
        if name not in self.params:
            fan = math.prod(shape[1:]) if len(shape) > 1 else 0
            value = self.draw(*shape) * (gain or (fan**-0.5 if fan else 0.3)) + around
            self.params[name] = value.float().double().requires_grad_()
        return self.params[name]

    def linear(self, name, x, out):
        return x @ self.param(f"{name}.weight", out, x.shape[-1]).T + self.param(f"{name}.bias", out)

    def norm(self, name, x):
        if self.cfg["norm"] == "rms":
            return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * self.param(f"{name}.weight", x.shape[-1], around=1.0)
        return F.layer_norm(x, x.shape[-1:], eps=LN_EPS)

    def head_norm(self, name, x):
        if self.cfg["norm"] == "rms":
            return self.norm(name, x)
        scale, shift = self.param(f"{name}.weight", x.shape[-1], around=1.0), self.param(f"{name}.bias", x.shape[-1])
        return F.layer_norm(x, x.shape[-1:], eps=1e-5) * scale + shift

    def turned(self, x, grid):
        """EVA's rotation of neighbouring pairs: the first half of the head by the row, the second by the column."""
        quarter = x.shape[-1] // 4
        frequency = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
        rows = torch.arange(grid[0]).repeat_interleave(grid[1])[:, None] * frequency
        columns = torch.arange(grid[1]).repeat(grid[0])[:, None] * frequency
        angle = torch.cat([rows, columns], 1).repeat_interleave(2, dim=1)
        other = torch.stack([-x[..., 1::2], x[..., ::2]], -1).flatten(-2)
        return x * angle.cos() + other * angle.sin()

    def heads(self, x):
        return x.unflatten(2, (self.cfg["numHeads"], -1)).transpose(1, 2)

    def attention(self, name, x, grid):
        q, k, v = map(self.heads, self.linear(f"{name}.qkv", x, 3 * x.shape[2]).chunk(3, -1))
        if self.cfg["qkNorm"]:
            q, k = self.head_norm(f"{name}.q_norm", q), self.head_norm(f"{name}.k_norm", k)
        if self.cfg["rope"]:
            q, k = self.turned(q, grid), self.turned(k, grid)
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        return self.linear(f"{name}.proj", (weights @ v).transpose(1, 2).flatten(2), x.shape[2])

    def sequence_attention(self, name, x, tokens, mask):
        q = self.heads(self.linear(f"{name}.q_linear", x, x.shape[2]))
        k, v = map(self.heads, self.linear(f"{name}.kv_linear", tokens, 2 * x.shape[2]).chunk(2, -1))
        scores = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(mask[:, None, None] == 0, -torch.inf)
        return self.linear(f"{name}.proj", (scores.softmax(-1) @ v).transpose(1, 2).flatten(2), x.shape[2])

    def mlp(self, name, x):
        width = int(x.shape[2] * self.cfg["mlpRatio"])
        if self.cfg["mlp"] == "swiglu":
            a, b = self.linear(f"{name}.w12", x, 2 * (2 * width // 3)).chunk(2, -1)
            return self.linear(f"{name}.w3", F.silu(a) * b, x.shape[2])
        return self.linear(f"{name}.fc2", F.gelu(self.linear(f"{name}.fc1", x, width), approximate="tanh"), x.shape[2])

    def positions(self, grid, d):
        omega = 10000.0 ** (-torch.arange(d // 4, dtype=torch.float64) / (d // 4))
        row, column = torch.meshgrid(*[torch.arange(n, dtype=torch.float64) for n in grid], indexing="ij")
        c, r = column.reshape(-1, 1) * omega, row.reshape(-1, 1) * omega
        return torch.cat([c.sin(), c.cos(), r.sin(), r.cos()], 1)

    def forward(self, x, t, y=None, context=None, contextMask=None, pooled=None):
        cfg, d, p = self.cfg, self.cfg["hiddenSize"], self.cfg["patchSize"]
        N, C, H, W = x.shape
        grid = (H // p, W // p)
        embedded = lambda name, v: self.linear(f"{name}.mlp.2", F.silu(self.linear(f"{name}.mlp.0", v, d)), d)
        told = embedded("t_embedder", timestep_embedding(t))
        if cfg["numClasses"]:
            told = told + self.param("y_embedder.embedding_table.weight", cfg["numClasses"] + 1, d, gain=1.0)[y.long()]
        if pooled is not None:
            told = told + embedded("pooled_embedder", pooled)
        if context is not None:
            hidden = F.gelu(self.linear("y_embedder.y_proj.fc1", context, d), approximate="tanh")
            context = self.linear("y_embedder.y_proj.fc2", hidden, d)
        c = F.silu(told)
        shared = cfg["modulation"] == "shared"
        if shared:
            common = self.linear("t_block.1", c, 6 * d).unflatten(1, (6, d))

        def vectors(name, parts):
            if not shared:
                return self.linear(f"{name}.adaLN_modulation.1", c, parts * d).chunk(parts, 1)
            table = self.param(f"{name}.scale_shift_table", parts, d)
            return (table + (common if parts == 6 else told[:, None])).unbind(1)

        patches = F.conv2d(x, self.param("x_embedder.proj.weight", d, C, p, p), self.param("x_embedder.proj.bias", d), stride=p)
        h = patches.flatten(2).transpose(1, 2) + self.positions(grid, d).float().double()
        for i in range(cfg["depth"]):
            name = f"blocks.{i}"
            shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = vectors(name, 6)
            h = h + gate_a[:, None] * self.attention(f"{name}.attn", modulate(self.norm(f"{name}.norm1", h), shift_a, scale_a), grid)
            if context is not None:
                h = h + self.sequence_attention(f"{name}.cross_attn", h, context, contextMask)
            h = h + gate_m[:, None] * self.mlp(f"{name}.mlp", modulate(self.norm(f"{name}.norm2", h), shift_m, scale_m))
        shift, scale = vectors("final_layer", 2)
        out = self.linear("final_layer.linear", modulate(self.norm("final_layer.norm_final", h), shift, scale), p * p * C * (1 + cfg["learnSigma"]))
        out = out.reshape(N, *grid, p, p, -1)
        return torch.einsum("nhwpqc->nchpwq", out).reshape(N, -1, H, W)


def make(case, changes, t, y):
    net = Net(changes, sum(case.encode()))
    cfg, N = net.cfg, len(t)
    size = cfg["inputSize"] if isinstance(cfg["inputSize"], list) else [cfg["inputSize"]] * 2
    inputs = {"x": net.draw(N, cfg["inChannels"], *size), "t": torch.tensor(t, dtype=torch.float64)}
    if y is not None:
        inputs["y"] = torch.tensor(y, dtype=torch.int32)
    if "sequence" in cfg:
        length = cfg["sequence"]["length"]
        inputs["context"] = net.draw(N, length, cfg["sequence"]["width"])
        inputs["contextMask"] = (torch.arange(length) < torch.tensor([length, 1, length - 2][:N])[:, None]).int()
    if "pooled" in cfg:
        inputs["pooled"] = net.draw(N, cfg["pooled"]["width"])
    out = net.forward(**inputs)
    r = net.draw(*out.shape)
    (out * r).sum().backward()
    for name, p in net.params.items():
        assert p.grad is not None, name
    plain = lambda x: x.detach().float().contiguous() if x.is_floating_point() else x
    tensors = {f"param.{k}": plain(v) for k, v in net.params.items()} | {f"grad.{k}": plain(v.grad) for k, v in net.params.items()}
    tensors |= {f"input.{k}": plain(v) for k, v in inputs.items()} | {"input.r": plain(r), "output.out": plain(out)}
    path = DATA / f"variant-{case}.safetensors"
    save_file(tensors, path, metadata={"config": json.dumps({**COMMON, **changes})})
    print(f"{path.name:40} {path.stat().st_size / 1024:6.0f} KB  out rms {out.square().mean().sqrt():.2f}")


if __name__ == "__main__":
    for case, arguments in CASES.items():
        make(case, *arguments)
