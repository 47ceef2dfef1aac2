"""Writes data/ops.safetensors: functions of the DSL that PyTorch has too, with sizes that divide nothing, and their gradients.

For each case `<case>.<operand>`, `<case>.out` (several results side by side as `out`, `out1`), `<case>.r` and, of Σ out·r, the
gradients `<case>.d.<operand>`. Metadata `config`: for each case its function `of`, its operands in order, and its options.
"""

import json

import torch
from torch.nn import functional as F
from safetensors.torch import save_file

from make_forward import DATA

torch.manual_seed(11)
tensors: dict[str, torch.Tensor] = {}
config: dict[str, dict] = {}


def draw(*shape):
    return torch.randn(*shape).double()


def case(name, of, function, operands, options=None):
    leaves = {key: x.clone().requires_grad_(x.is_floating_point()) for key, x in operands.items()}
    outs = function(*leaves.values())
    outs = outs if isinstance(outs, (tuple, list)) else [outs]
    r = draw(*outs[0].shape)
    if outs[0].requires_grad:
        (outs[0] * r).sum().backward()
    config[name] = {"of": of, "operands": list(operands), "options": options or {}}
    put = lambda key, x: tensors.__setitem__(f"{name}.{key}", (x.float() if x.is_floating_point() else x.int()).contiguous())
    for key, x in leaves.items():
        put(key, x.detach())
        if x.grad is not None:
            put(f"d.{key}", x.grad)
    put("r", r)
    for i, out in enumerate(outs):
        put(f"out{i or ''}", out.detach())


def exact(*shape):
    """Of float32 values, so that what is stored is what is computed with."""
    return draw(*shape).float().double()


def convolution(name, x, weight, bias, **options):
    operands = {"x": exact(*x), "weight": exact(*weight), **({"bias": exact(weight[0])} if bias else {})}
    case(name, "conv2d", lambda *given: F.conv2d(*given, **options), operands, options)


convolution("conv-3x3", (2, 3, 7, 5), (4, 3, 3, 3), True, padding=1)
convolution("conv-stride", (1, 3, 11, 8), (5, 3, 4, 3), True, stride=(3, 2), padding=(2, 1))
convolution("conv-dilated", (3, 2, 9, 10), (3, 2, 3, 2), False, dilation=(2, 3), padding=(0, 2))
convolution("conv-same", (2, 2, 6, 7), (3, 2, 4, 3), True, padding="same")
convolution("conv-groups", (2, 6, 5, 6), (9, 2, 3, 3), True, padding=1, groups=3)
convolution("conv-depthwise", (2, 5, 6, 7), (5, 1, 3, 3), True, padding=1, groups=5, stride=2)
convolution("conv-depthwise-twice", (1, 3, 6, 7), (6, 1, 5, 3), False, padding=(2, 1), groups=3)
convolution("conv-1x1", (3, 7, 3, 5), (4, 7, 1, 1), True)
convolution("conv-all", (2, 4, 13, 12), (6, 2, 3, 4), True, stride=(2, 3), padding=(3, 2), dilation=(3, 2), groups=2)


def transposed(name, x, weight, bias, **options):
    out = weight[1] * options.get("groups", 1)
    operands = {"x": exact(*x), "weight": exact(*weight), **({"bias": exact(out)} if bias else {})}
    renamed = {"outputPadding" if key == "output_padding" else key: value for key, value in options.items()}
    case(name, "convTranspose2d", lambda *given: F.conv_transpose2d(*given, **options), operands, renamed)


transposed("up-2x2", (2, 3, 4, 5), (3, 4, 2, 2), True, stride=2)
transposed("up-4x4", (1, 3, 5, 4), (3, 2, 4, 4), True, stride=2, padding=1)
transposed("up-plain", (2, 2, 5, 3), (2, 3, 3, 2), False)
transposed("up-output-padding", (2, 3, 3, 4), (3, 2, 3, 3), True, stride=(2, 3), padding=1, output_padding=(1, 2))
transposed("up-dilated", (1, 2, 4, 3), (2, 3, 3, 2), True, stride=(1, 2), padding=(2, 0), dilation=(2, 3))
transposed("up-groups", (2, 6, 3, 4), (6, 2, 3, 3), True, stride=2, padding=1, groups=3)
transposed("up-cropped", (1, 2, 5, 6), (2, 2, 3, 5), False, stride=2, padding=(3, 4))

for mode, corners in [("nearest", None), ("bilinear", False), ("bilinear", True)]:
    for h, w in [(10, 6), (3, 7), (5, 9), (1, 1), (15, 3)]:
        options = {"mode": mode, **({} if corners is None else {"align_corners": corners})}
        given = {"size": [h, w], "mode": mode, **({} if corners is None else {"alignCorners": corners})}
        case(f"resize-{mode}{'-corners' if corners else ''}-{h}x{w}", "resize",
             lambda x: F.interpolate(x, size=(h, w), **options), {"x": exact(2, 2, 5, 3)}, given)

case("group-norm", "groupNorm", lambda x: F.group_norm(x, 3, eps=1e-4), {"x": exact(2, 6, 5, 3)}, {"groups": 3, "eps": 1e-4})
case("group-norm-rows", "groupNorm", lambda x: F.group_norm(x, 2), {"x": exact(3, 4)}, {"groups": 2})
case("softplus", "softplus", lambda x: torch.log1p(torch.exp(x)), {"x": exact(3, 7) * 4})
case("log-sum-exp", "logSumExp", lambda x: torch.logsumexp(x, -1), {"x": exact(3, 13) * 5})
case("log-sum-exp-middle", "logSumExp", lambda x: torch.logsumexp(x, 1, keepdim=True), {"x": exact(2, 9, 3)}, {"axis": 1, "keepDims": True})
labels = torch.randint(0, 11, (3, 5))
case("cross-entropy", "crossEntropy", lambda x, y: F.cross_entropy(x.reshape(-1, 11), y.reshape(-1), reduction="none").reshape(3, 5),
     {"x": exact(3, 5, 11) * 3, "labels": labels})
case("cross-entropy-smooth", "crossEntropy",
     lambda x, y: F.cross_entropy(x.reshape(-1, 11), y.reshape(-1), reduction="none", label_smoothing=0.1).reshape(3, 5),
     {"x": exact(3, 5, 11), "labels": labels}, {"labelSmoothing": 0.1})

index = torch.randint(0, 6, (3, 4, 5))
case("take-along", "takeAlong", lambda x, i: torch.gather(x, 1, i), {"x": exact(3, 6, 5), "index": index}, {"axis": 1})
case("take-along-last", "takeAlong", lambda x, i: torch.gather(x, -1, i), {"x": exact(3, 4, 6), "index": index}, {"axis": -1})
case("take", "take", lambda x, i: x[:, i], {"x": exact(3, 6, 5), "index": index[0]}, {"axis": 1})
case("scatter-add", "scatterAdd", lambda x, i, u: torch.scatter_add(x, 1, i, u), {"x": exact(3, 6, 5), "index": index, "updates": exact(3, 4, 5)}, {"axis": 1})
case("flip", "flip", lambda x: torch.flip(x, (0, 2)), {"x": exact(3, 4, 5)}, {"axes": [0, 2]})
case("set-slice", "setSlice", lambda x, v: torch.slice_scatter(x, v, 1, 2, 5), {"x": exact(2, 7, 3), "value": exact(2, 3, 3)}, {"axis": 1, "start": 2})
case("argmax", "argmax", lambda x: torch.argmax(x, 1), {"x": exact(3, 9, 4)}, {"axis": 1})
case("argmin", "argmin", lambda x: torch.argmin(x, -1), {"x": exact(3, 4, 33)}, {"axis": -1})
case("top-k", "topK", lambda x: torch.topk(x, 4, dim=1), {"x": exact(3, 9, 4)}, {"k": 4, "axis": 1})
case("top-1", "topK", lambda x: torch.topk(x, 1), {"x": exact(3, 17)}, {"k": 1})
case("sort", "topK", lambda x: torch.sort(x, descending=True, stable=True), {"x": exact(2, 19).mul(2).round()}, {"k": 19})
case("min", "min", lambda x: torch.amin(x, (0, 2)), {"x": exact(3, 5, 70)}, {"axes": [0, 2]})
for name, function in [("sum", lambda x: x.sum(1)), ("max", lambda x: x.amax(1)), ("min", lambda x: x.amin(1))]:
    case(f"i32-{name}", name, lambda x: function(x).int(), {"x": torch.randint(-(2**30), 2**30, (4, 70)).int()}, {"axes": 1})
case("any", "any", lambda x: (x > 1.5).any(1).int(), {"x": exact(9, 13)}, {"axes": 1, "above": 1.5})
case("all", "all", lambda x: (x > -1.5).all(1).int(), {"x": exact(9, 13)}, {"axes": 1, "above": -1.5})
case("neg-i32", "neg", lambda x: -x, {"x": torch.randint(-100, 100, (3, 5)).int()})
case("cumsum", "cumsum", lambda x: torch.cumsum(x, 1), {"x": exact(3, 37, 2)}, {"axis": 1})
case("cumsum-last", "cumsum", lambda x: torch.cumsum(x, -1), {"x": exact(2, 300)}, {"axis": -1})


def recurrence(a, b):
    h, all_h = torch.zeros_like(b[:, 0]), []
    for t in range(b.shape[1]):
        h = a[:, t] * h + b[:, t]
        all_h.append(h)
    return torch.stack(all_h, 1)


case("recurrence", "recurrence", recurrence, {"a": torch.sigmoid(exact(2, 41, 3)).float().double(), "b": exact(2, 41, 3)}, {"axis": 1})
case("recurrence-long", "recurrence", recurrence, {"a": torch.sigmoid(exact(1, 1000, 2) + 2).float().double(), "b": exact(1, 1000, 2)}, {"axis": 1})


def rotated(x, pairs, angles):
    d = x.shape[-1]
    if pairs == "halves":
        half = torch.cat([-x[..., d // 2:], x[..., : d // 2]], -1)
        return x * torch.cat([angles, angles], -1).cos() + half * torch.cat([angles, angles], -1).sin()
    z = torch.view_as_complex(x.reshape(*x.shape[:-1], d // 2, 2).contiguous()) * torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(z).reshape(x.shape)


def grid_angles(grid, d, base):
    each = d // 2 // len(grid)
    frequencies = base ** (-torch.arange(each).double() / each)
    places = torch.cartesian_prod(*[torch.arange(n).double() for n in grid]).reshape(-1, len(grid))
    return torch.cat([places[:, axis : axis + 1] * frequencies for axis in range(len(grid))], 1)


for pairs, grid, d, base in [("halves", [7], 6, 10000.0), ("neighbours", [7], 10, 500.0), ("halves", [3, 5], 12, 100.0), ("neighbours", [5, 3], 8, 10000.0)]:
    T = torch.tensor(grid).prod().item()
    case(f"rotary-{pairs}-{len(grid)}", "rotary", lambda x: rotated(x, pairs, grid_angles(grid, d, base)), {"x": exact(2, 3, T, d)},
         {"pairs": pairs, "grid": grid, "base": base})

for corners in (False, True):
    for h, w in [(10, 6), (3, 7), (1, 1), (15, 2)]:
        case(f"resize-bicubic{'-corners' if corners else ''}-{h}x{w}", "resize",
             lambda x: F.interpolate(x, size=(h, w), mode="bicubic", align_corners=corners), {"x": exact(2, 2, 5, 3)},
             {"size": [h, w], "mode": "bicubic", "alignCorners": corners})

save_file(tensors, DATA / "ops.safetensors", metadata={"config": json.dumps(config)})
print(len(config), "cases,", sum(x.numel() for x in tensors.values()) * 4, "bytes")
