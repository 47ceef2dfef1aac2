"""Writes data/train-<case>.safetensors: the training loss of a tiny DiT and its gradient for every weight.

The weights are make_forward's, so none is zero; `step-0` has the paper's initialisation, where only final_layer.linear
has a gradient. Computed in float64 from the stored float32 values.
"""

import json

import torch
from safetensors.torch import save_file

from diffusion_reference import Process, linear_betas
from dit_reference import BLOCKS, DiT, camel_case
from loss_reference import Loss
from make_forward import DATA, TINY, random_weights

SMALL = dict(TINY, hidden_size=16, num_heads=2, num_classes=5)


def make(case, block, randomise=True):
    config = dict(SMALL, block=block)
    torch.manual_seed(sum(case.encode()))
    model = DiT(**config).double().eval()  # eval: the labels are given, already dropped
    if randomise:
        random_weights(model, torch.default_generator)
    else:
        model.float().double()  # the stored weights are float32
    t, y = torch.tensor([0, 1, 400, 999]), torch.tensor([3, 5, 0, 3])  # 5 is the null class
    x0, noise = (torch.randn(4, 4, 8, 8).mul(gain).double() for gain in (0.8, 1))
    loss = Loss(Process(linear_betas()), torch.float64)
    mse, vlb = loss.terms(model(loss.q_sample(x0, noise, t), t.double(), y), x0, noise, t)
    (mse + vlb).mean().backward()

    tensors = {f"param.{k}": p.detach() for k, p in model.named_parameters()}
    tensors |= {f"grad.{k}": p.grad for k, p in model.named_parameters() if p.requires_grad}
    tensors |= {"input.x0": x0, "input.noise": noise, "output.mse": mse.detach(), "output.vlb": vlb.detach()}
    tensors = {k: v.float().contiguous() for k, v in tensors.items()}
    tensors |= {"input.t": t.int(), "input.y": y.int()}
    path = DATA / f"train-{case}.safetensors"
    save_file(tensors, path, metadata={"config": json.dumps(camel_case(config))})
    flat = [k for k, p in model.named_parameters() if p.requires_grad and not p.grad.any()]
    print(path.name, path.stat().st_size // 1024, "KB", mse.tolist(), vlb.tolist(), f"{len(flat)} zero gradients")


if __name__ == "__main__":
    for block in BLOCKS:
        make(block, block)
    make("step-0", "adaLN-Zero", randomise=False)
