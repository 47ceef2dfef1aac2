"""Runs the forward pass that test/gpu/large.ts asks for: `large_forward.py IN OUT`.

IN holds param.<official name>, input.x, input.t, input.y, and the config as metadata; OUT gets `out`. In float32, which
is exact enough beside the bound of 1e-4 and holds DiT-XL/2 in 3 GB.
"""

import json
import re
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dit_reference import DiT


@torch.no_grad()
def main(source, target):
    with safe_open(source, "pt") as file:
        config = {re.sub("[A-Z]", lambda m: "_" + m[0].lower(), k): v
                  for k, v in json.loads(file.metadata()["config"]).items()}  # fmt: skip
        model = DiT(**config).eval()
        for name, p in model.named_parameters():
            p.copy_(file.get_tensor(f"param.{name}"))
        x, t, y = (file.get_tensor(f"input.{name}") for name in "xty")
    save_file({"out": model(x, t, y).contiguous()}, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
