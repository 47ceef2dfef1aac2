"""Writes data/inception.safetensors: features of pytorch-fid's Inception v3, with weights that a formula gives.

The 95 MB of weights are not stored: element i of the parameter `name` comes from hashing i and name (`uniform` below), in
integers, so that the test has the same ones. Computed in float64, at side 139, where every kernel still sees neighbours.
"""

import json
from pathlib import Path

import numpy as np
import torch

# torchvision's wheel may be of another CUDA than torch's: its models need none of its operators, but want these two named.
for name in ("nms", "qnms"):
    torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import torchvision
from pytorch_fid.inception import FIDInceptionA, FIDInceptionC, FIDInceptionE_1, FIDInceptionE_2
from safetensors.torch import save_file

DATA = Path(__file__).parent / "data"
SIDE = 139
FIRST = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"]
MIXED = ["5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"]


def network():
    net = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
    net.Mixed_5b = FIDInceptionA(192, pool_features=32)
    net.Mixed_5c = FIDInceptionA(256, pool_features=64)
    net.Mixed_5d = FIDInceptionA(288, pool_features=64)
    for name, width in {"6b": 128, "6c": 160, "6d": 160, "6e": 192}.items():
        setattr(net, f"Mixed_{name}", FIDInceptionC(768, channels_7x7=width))
    net.Mixed_7b = FIDInceptionE_1(1280)
    net.Mixed_7c = FIDInceptionE_2(2048)
    return net.double().eval()


def uniform(name, count):
    """Of [0, 1): MurmurHash3's finaliser of the index, from FNV-1a of the name."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = (seed ^ byte) * 0x01000193 % 2**32
    h = np.arange(count, dtype=np.uint32) ^ np.uint32(seed)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    return (h ^ (h >> np.uint32(16))).astype(np.float64) / 2**32


def weight(name, shape):
    u = uniform(name, int(np.prod(shape)))
    if name.endswith((".running_var", "bn.weight")):
        v = 0.5 + u
    elif name.endswith(("bn.bias", ".running_mean")):
        v = 0.4 * (u - 0.5)
    else:
        v = 2 * (u - 0.5) * np.sqrt(6 / np.prod(shape[1:]))
    return torch.from_numpy(v.astype(np.float32).astype(np.float64).reshape(shape))


def resize(x, align):
    """Bilinear without smoothing. `adm`: TensorFlow 1, source = index·scale. `pytorch-fid`: torch's own."""
    if align == "pytorch-fid":
        return torch.nn.functional.interpolate(x, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    for axis in (2, 3):
        size = x.shape[axis]
        at = torch.arange(SIDE, dtype=torch.float64) * size / SIDE
        low = at.floor().long().clamp(max=size - 1)
        high = (low + 1).clamp(max=size - 1)
        share = (at - low).reshape([-1 if i == axis else 1 for i in range(4)])
        x = x.index_select(axis, low) * (1 - share) + x.index_select(axis, high) * share
    return x


@torch.no_grad()
def features(net, pictures, preprocess):
    x = resize(pictures, preprocess)
    x = (x - 128) / 128 if preprocess == "adm" else 2 * (x / 255) - 1
    taken = {}
    hook = net.Mixed_6d.branch1x1.register_forward_hook(lambda _m, _i, out: taken.update(spatial=out))
    for name in FIRST + [f"Mixed_{name}" for name in MIXED]:
        x = getattr(net, name)(x)
    hook.remove()
    pool = x.mean(dim=(2, 3))
    spatial = taken["spatial"][:, :7].permute(0, 2, 3, 1).reshape(len(x), -1)
    return {"pool": pool, "spatial": spatial, "logits": pool @ net.fc.weight.T}


def main():
    net = network()
    state = {k: v for k, v in net.state_dict().items() if not k.endswith(("num_batches_tracked", "fc.bias"))}
    net.load_state_dict({k: weight(k, tuple(v.shape)) for k, v in state.items()}, strict=False)
    pictures = torch.from_numpy((uniform("pictures", 3 * 40 * 52) * 256).astype(np.uint8).reshape(1, 3, 40, 52)).double()
    tensors = {"input.x": pictures}
    for preprocess in ("adm", "pytorch-fid"):
        out = features(net, pictures, preprocess)
        tensors.update({f"output.{preprocess}.{k}": v for k, v in out.items()})
        print(preprocess, {k: (tuple(v.shape), float(v.std())) for k, v in out.items()})
    print("parameters", sum(v.numel() for v in state.values()))
    path = DATA / "inception.safetensors"
    save_file({k: v.float().contiguous() for k, v in tensors.items()}, path, {"config": json.dumps({"side": SIDE})})
    path.chmod(0o644)


if __name__ == "__main__":
    main()
