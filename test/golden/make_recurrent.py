"""Writes data/recurrent-<kind>.safetensors: torch.nn.LSTM and torch.nn.GRU over 37 turns, of sizes that divide nothing, and all their gradients.

`param.<PyTorch's name>`, `input.xs` [T,N,d], the state before `input.h` and `input.c` (LSTM); `output.ys` (all turns), and the last state
`output.hN` and `output.cN`; `input.r.<output>`, and of the sum of all outputs times these `grad.<parameter or input>`.
"""

import json

import torch
from safetensors.torch import save_file

from make_forward import DATA

TURNS, BATCH, WIDTH, SIZE = 37, 3, 5, 7


def exact(*shape):
    """Of float32 values, so that what is stored is what is computed with."""
    return torch.randn(*shape).double().float().double()


def write(kind, module, states):
    cell = module(WIDTH, SIZE).double()
    params = {name: (0.5 * exact(*p.shape)).requires_grad_() for name, p in cell.named_parameters()}
    inputs = {"xs": exact(TURNS, BATCH, WIDTH).requires_grad_()}
    inputs |= {state: exact(BATCH, SIZE).requires_grad_() for state in states}
    before = [inputs[state].unsqueeze(0) for state in states]
    given = (inputs["xs"], tuple(before) if len(before) > 1 else before[0])
    ys, last = torch.func.functional_call(cell, params, given)
    last = last if isinstance(last, tuple) else (last,)
    outputs = {"ys": ys, **{f"{state}N": value.squeeze(0) for state, value in zip(states, last)}}
    weights = {f"r.{name}": exact(*out.shape) for name, out in outputs.items()}
    sum((out * weights[f"r.{name}"]).sum() for name, out in outputs.items()).backward()
    groups = {"param": params, "input": inputs | weights, "output": outputs}
    groups["grad"] = {name: leaf.grad for name, leaf in (params | inputs).items()}
    tensors = {f"{group}.{name}": x.detach().float().contiguous() for group, all in groups.items() for name, x in all.items()}
    save_file(tensors, DATA / f"recurrent-{kind}.safetensors", {"config": json.dumps({"kind": kind, "size": SIZE})})


if __name__ == "__main__":
    torch.manual_seed(37)
    write("lstm", torch.nn.LSTM, ["h", "c"])
    write("gru", torch.nn.GRU, ["h"])
