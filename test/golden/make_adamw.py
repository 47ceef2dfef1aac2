"""Writes data/adamw-<case>.safetensors: 20 steps of PyTorch's AdamW on a tiny DiT with draws given, and the EMA of its weights.

`plain` is the paper's recipe but for a larger rate and a faster average, so that something moves; `recipe` adds weight decay,
warm-up, a cosine and clipping. eps is above float32's rounding of the gradients: a bias of keys has none, and Adam would blow up
what anyone computes for it to whole steps. Computed in float64 from the stored float32 values.
"""

import json
import math

import torch
from safetensors.torch import save_file

from diffusion_reference import Process, linear_betas
from dit_reference import DiT, camel_case
from loss_reference import Loss
from make_forward import DATA, TINY, random_weights

CONFIG = dict(TINY, input_size=4, hidden_size=8, depth=1, num_heads=2, num_classes=3, block="adaLN-Zero")
STEPS, BATCH = 20, 4
PLAIN = {"lr": 1e-3, "weightDecay": 0, "beta1": 0.9, "beta2": 0.999, "eps": 1e-6, "ema": 0.9, "warmup": 0, "cosine": 0, "clip": 0}
CASES = {"plain": PLAIN, "recipe": dict(PLAIN, weightDecay=0.1, beta2=0.95, warmup=5, cosine=40, clip=0.5)}


def rate(o, step):
    rise = min(1, (step + 1) / o["warmup"]) if o["warmup"] else 1
    fall = (1 + math.cos(math.pi * min(1, step / o["cosine"]))) / 2 if o["cosine"] else 1
    return o["lr"] * rise * fall


def make(case, o):
    torch.manual_seed(sum(case.encode()))
    model = DiT(**CONFIG).double().eval()  # eval: labels are dropped here
    random_weights(model, torch.default_generator)
    start = {f"param.{k}": p.detach().clone() for k, p in model.named_parameters()}
    ema = {k: p.detach().clone() for k, p in model.named_parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=o["lr"], betas=(o["beta1"], o["beta2"]), eps=o["eps"], weight_decay=o["weightDecay"])
    loss_of = Loss(Process(linear_betas()), torch.float64)

    side, null = CONFIG["input_size"], CONFIG["num_classes"]
    images = torch.randn(STEPS, BATCH, 4, side, side).mul(0.8)
    noise = torch.randn(STEPS, BATCH, 4, side, side)
    t = torch.randint(0, 1000, (STEPS, BATCH))
    t[3, 0] = 0  # the term of the discretised Gaussian
    labels, drop = torch.randint(0, null, (STEPS, BATCH)), torch.rand(STEPS, BATCH) < 0.25
    losses, norms = [], []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate(o, step)
        x0, eps = images[step].double(), noise[step].double()
        y = torch.where(drop[step], null, labels[step])
        mse, vlb = loss_of.terms(model(loss_of.q_sample(x0, eps, t[step]), t[step].double(), y), x0, eps, t[step])
        loss = (mse + vlb).mean()
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(trained, o["clip"] or math.inf))
        optimizer.step()
        for k, p in model.named_parameters():
            ema[k].mul_(o["ema"]).add_(p.detach(), alpha=1 - o["ema"])
        losses.append(loss.detach())

    tensors = dict(start)
    tensors |= {f"output.param.{k}": p.detach() for k, p in model.named_parameters() if p.requires_grad}
    tensors |= {f"output.ema.{k}": p for k, p in ema.items()}
    tensors |= {"input.images": images, "input.noise": noise, "output.loss": torch.stack(losses), "output.gradNorm": torch.stack(norms)}
    tensors = {k: v.float().contiguous() for k, v in tensors.items()}
    tensors |= {"input.t": t.int(), "input.labels": labels.int(), "input.drop": drop.int()}
    path = DATA / f"adamw-{case}.safetensors"
    save_file(tensors, path, metadata={"config": json.dumps(dict(model=camel_case(CONFIG), options=o))})
    print(path.name, path.stat().st_size // 1024, "KB", [round(x.item(), 4) for x in losses[:3] + losses[-2:]], [round(n.item(), 3) for n in norms[:3]])


if __name__ == "__main__":
    for case, options in CASES.items():
        make(case, options)
