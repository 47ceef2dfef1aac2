"""Writes data/masked-attention.safetensors: attention by a mask, written in seven ways, and its gradients.

Queries 2 and 7 see no key, query 3 sees one. q, k and the masks are such that every score is exact in float32, so that float64
and float32 differ only where -1e9 swallows a score; there `f32.*` has what float32 gives. -inf leaves NaN behind in PyTorch.
"""

import json

import torch
from safetensors.torch import save_file

from make_forward import DATA

QUERIES, KEYS, WIDTH, OUT = 11, 70, 8, 5
LOWEST = torch.finfo(torch.float32).min


def fill(value):
    return lambda s, m: s.masked_fill(~m, value)


def bias(value):
    return lambda s, m: s + torch.where(m, 0.0, value)


KINDS = {
    "fill1e9": fill(-1e9),
    "fill1e4": fill(-1e4),
    "fillMin": fill(LOWEST),
    "bias1e9": bias(-1e9),
    "bias1e4": bias(-1e4),
    "biasMin": bias(LOWEST),
    "biasInf": bias(-torch.inf),
}


def run(kind, inputs, mask, dtype):
    q, k, v, w = (x.to(dtype).clone().requires_grad_() for x in inputs)
    y = KINDS[kind](q @ k.T, mask).softmax(-1) @ v
    (y * w).sum().backward()
    return {"y": y.detach(), "dq": q.grad, "dk": k.grad, "dv": v.grad}


def main():
    g = torch.Generator().manual_seed(7)
    eighths = lambda *shape: torch.randint(-8, 9, shape, generator=g).float() / 8
    normal = lambda *shape: torch.randn(shape, generator=g)
    q, k = eighths(QUERIES, WIDTH), eighths(KEYS, WIDTH)
    v, w = normal(KEYS, OUT), normal(QUERIES, OUT)
    mask = torch.rand(QUERIES, KEYS, generator=g) < 0.6
    mask[[2, 7]] = False
    mask[3] = False
    mask[3, 66] = True
    tensors = {"input.q": q, "input.k": k, "input.v": v, "input.w": w, "input.mask": mask.int()}
    for kind in KINDS:
        for name, x in run(kind, (q, k, v, w), mask, torch.float64).items():
            tensors[f"{kind}.{name}"] = x.float()
    for name, x in run("bias1e9", (q, k, v, w), mask, torch.float32).items():
        tensors[f"f32.bias1e9.{name}"] = x
    save_file({name: x.contiguous() for name, x in tensors.items()}, DATA / "masked-attention.safetensors", {"config": json.dumps({"kinds": list(KINDS)})})


if __name__ == "__main__":
    main()
