"""Writes data/special.safetensors: pointwise functions and reductions of NaN, infinities, zeros of either sign, the ends of
float32, subnormal numbers and ties, and the gradients that PyTorch gives there.

`f64.*` is computed in float64 from the float32 values, `f32.*` in float32: they differ where float32 overflows on the way.
Gradients are those of the sum of the results: dy is 1.
"""

import json

import torch
from torch.nn import functional as F
from safetensors.torch import save_file

from make_forward import DATA

NAN, INF = torch.nan, torch.inf
MAX = torch.finfo(torch.float32).max
ONE = [NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 1e-40, -1e-40, 1.2e-38, MAX, -MAX, 100.0, -100.0, 88.0, -88.0, 1e4, -1e4, 1e20, -1e20]
TWO = [NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, MAX, -MAX, 1e-30]

UNARY = {
    "neg": torch.neg,
    "abs": torch.abs,
    "relu": torch.relu,
    "floor": torch.floor,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "clamp": lambda x: torch.clamp(x, -1, 2),
    "clampAbove": lambda x: torch.clamp(x, -torch.inf, 1),
    "square": torch.square,
    "divByZero": lambda x: x / 0.0,
    "divByMinusZero": lambda x: x / -0.0,
    "timesZero": lambda x: x * 0.0,
    "reciprocal": lambda x: 1 / x,
    "isFinite": torch.isfinite,
    "isNaN": torch.isnan,
    "toBool": lambda x: x.bool(),
    "whereNaN": lambda x: torch.where(x > 0, x.log(), -x),
    "powHalf": lambda x: x**0.5,
}
BINARY = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "pow": torch.pow,
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "where": lambda x, y: torch.where(x > y, x, y),
}
ROWS = torch.tensor(
    [
        [1, 2, 3, 0, 2],
        [NAN, 1, 2, 3, 0],
        [1, 2, 3, 0, NAN],
        [INF, 1, 2, 3, INF],
        [-INF, -INF, -INF, -INF, -INF],
        [-INF, 1, -INF, 2, 2],
        [INF, -INF, 0, 0, 0],
        [3, 3, 3, 3, 3],
        [-MAX, -MAX, -MAX, -MAX, -MAX],
        [0, 0, 0, -1, -2],
    ]
)
REDUCED = {
    "amax": lambda x: x.amax(-1, keepdim=True),
    "sum": lambda x: x.sum(-1, keepdim=True),
    "mean": lambda x: x.mean(-1, keepdim=True),
    "softmax": lambda x: x.softmax(-1) * torch.arange(1, 6),
}


def evaluate(f, inputs, dtype):
    x = [t.to(dtype).clone().requires_grad_() for t in inputs]
    y = f(*x)
    out = {"y": y.detach().to(torch.float32)}
    if y.dtype.is_floating_point and y.requires_grad:
        grads = torch.autograd.grad(y.sum(), x, allow_unused=True)
        out |= {f"d{i}": g.to(torch.float32) for i, g in enumerate(grads) if g is not None}
    return out


def main():
    one = torch.tensor(ONE)
    x, y = (t.flatten().contiguous() for t in torch.meshgrid(torch.tensor(TWO), torch.tensor(TWO), indexing="ij"))
    tensors = {"input.one": one, "input.x": x, "input.y": y, "input.rows": ROWS}
    groups = [(UNARY, [one]), (BINARY, [x, y]), (REDUCED, [ROWS])]
    for functions, inputs in groups:
        for name, f in functions.items():
            for width, dtype in (("f64", torch.float64), ("f32", torch.float32)):
                for part, value in evaluate(f, inputs, dtype).items():
                    tensors[f"{width}.{name}.{part}"] = value.contiguous()
    names = {"unary": list(UNARY), "binary": list(BINARY), "reduced": list(REDUCED)}
    save_file(tensors, DATA / "special.safetensors", {"config": json.dumps(names)})


if __name__ == "__main__":
    main()
