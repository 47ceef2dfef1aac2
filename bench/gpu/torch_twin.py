"""The workloads of bench/gpu by PyTorch, one in a process: milliseconds of each round as JSON on stdout.

    python3 bench/gpu/torch_twin.py --work "forward 8" --precision tf32 --mode compile [--size XL] [--rounds 20]

The model is the independent DiT of test/golden/dit_reference.py, the autoencoder's decoder is written here. `compile` is
torch.compile(mode="reduce-overhead"): fused kernels replayed as CUDA graphs. On a machine without CUDA it runs on the CPU.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "test" / "golden"))
import dit_reference  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ROUND_SECONDS = 0.2


def embedding(t):
    """dit_reference's, made on the device: a table from the host would end every CUDA graph."""
    exponents = torch.arange(dit_reference.FREQUENCIES, dtype=torch.float32, device=t.device) / dit_reference.FREQUENCIES
    args = t[:, None].float() * torch.exp(-math.log(10000) * exponents)
    return torch.cat([args.cos(), args.sin()], dim=1).to(t.dtype)


dit_reference.timestep_embedding = embedding


class Resnet(nn.Module):
    def __init__(self, width, out):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(32, width, eps=1e-6), nn.GroupNorm(32, out, eps=1e-6)
        self.conv1, self.conv2 = nn.Conv2d(width, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        self.skip = nn.Identity() if width == out else nn.Conv2d(width, out, 1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))


class PixelAttention(nn.Module):
    """Self-attention over pixels, one head of all channels."""

    def __init__(self, width):
        super().__init__()
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens)[:, None].chunk(3, dim=3)
        mixed = self.out(F.scaled_dot_product_attention(q, k, v)[:, 0])
        return x + mixed.transpose(1, 2).unflatten(2, x.shape[2:])


class Upsample(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


def decoder(widths=(128, 256, 512, 512), latent=4):
    """kl-f8's, Rombach et al. 2022: latents [N,4,s,s] to pictures [N,3,8s,8s]."""
    deepest = widths[-1]
    layers = [nn.Conv2d(latent, latent, 1), nn.Conv2d(latent, deepest, 3, padding=1),
              Resnet(deepest, deepest), PixelAttention(deepest), Resnet(deepest, deepest)]  # fmt: skip
    width = deepest
    for level, out in reversed(list(enumerate(widths))):
        layers += [Resnet(width, out), Resnet(out, out), Resnet(out, out)]
        width = out
        if level:
            layers.append(Upsample(out))
    return nn.Sequential(*layers, nn.GroupNorm(32, width, eps=1e-6), nn.SiLU(), nn.Conv2d(width, 3, 3, padding=1))


def dit(size):
    model = dit_reference.DiT(**dit_reference.named_config(f"DiT-{size}/2"))
    for p in model.parameters():  # a fresh model gives zeros; the arithmetic is the same, the numbers should be alive
        if p.requires_grad and not p.abs().sum():
            nn.init.normal_(p, std=0.02)
    return model


def forward_of(size, batch, dtype, wrap):
    model = wrap(dit(size).to(DEVICE, dtype).eval())
    x = torch.randn(batch, 4, 32, 32, device=DEVICE, dtype=dtype)
    t = torch.full((batch,), 500.0, device=DEVICE, dtype=dtype)
    y = torch.arange(batch, device=DEVICE) * 37 % 1000
    return model, x, t, y


def forward(size, batch, dtype, wrap):
    model, x, t, y = forward_of(size, batch, dtype, wrap)

    def run():
        with torch.no_grad():
            model(x, t, y)

    return run


def sample(size, batch, dtype, wrap):
    """A guided step of DDIM: both halves of 2N in one pass, as ditc's."""
    model, x, t, y = forward_of(size, 2 * batch, dtype, wrap)
    y = torch.cat([y[:batch], torch.full((batch,), 1000, device=DEVICE)])
    state = x[:batch].clone()
    alpha, following = 0.5, 0.55

    def run():
        nonlocal state
        with torch.no_grad():
            out = model(torch.cat([state, state]), t, y)[:, :4]
            labelled, free = out.chunk(2)
            noise = free + 4.0 * (labelled - free)
            x0 = (state - (1 - alpha) ** 0.5 * noise) / alpha**0.5
            state = following**0.5 * x0.clamp(-1, 1) + (1 - following) ** 0.5 * noise

    return run


def train(size, batch, dtype, wrap):
    """ε with a learned range is judged by the squared error alone here; AdamW and the average of the weights are the step's own."""
    model = dit(size).to(DEVICE)
    average = [p.detach().clone() for p in model.parameters()]
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0, fused=DEVICE == "cuda")
    compiled = wrap(model)
    images = torch.randn(batch, 4, 32, 32, device=DEVICE)
    y = torch.arange(batch, device=DEVICE) * 37 % 1000
    signal = torch.linspace(0.99, 0.01, 1000, device=DEVICE)

    def run():
        t = torch.randint(0, 1000, (batch,), device=DEVICE)
        noise = torch.randn_like(images)
        a = signal[t][:, None, None, None]
        x = a.sqrt() * images + (1 - a).sqrt() * noise
        with torch.autocast(DEVICE, dtype=dtype, enabled=dtype != torch.float32):
            out = compiled(x, t.float(), y)
        loss = (out[:, :4].float() - noise).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, list(model.parameters()), 1e-4)

    return run


def decode(_size, batch, dtype, wrap):
    model = wrap(decoder().to(DEVICE, dtype).eval())
    z = torch.randn(batch, 4, 32, 32, device=DEVICE, dtype=dtype)

    def run():
        with torch.no_grad():
            model(z)

    return run


def sync():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def timed(run, count):
    sync()
    start = time.perf_counter()
    for _ in range(count):
        run()
    sync()
    return (time.perf_counter() - start) / count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True)
    parser.add_argument("--precision", choices=["f32", "tf32", "bf16"], required=True)
    parser.add_argument("--mode", choices=["eager", "compile"], required=True)
    parser.add_argument("--size", default="XL", choices=dit_reference.SIZES)
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    kind, batch = given.work.split()
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = given.precision == "tf32"
    torch.set_float32_matmul_precision("high" if given.precision == "tf32" else "highest")
    dtype = torch.bfloat16 if given.precision == "bf16" else torch.float32
    wrap = (lambda model: torch.compile(model, mode="reduce-overhead")) if given.mode == "compile" else (lambda model: model)
    make = {"forward": forward, "sample": sample, "train": train, "decode": decode}[kind]
    run = make(given.size, int(batch), dtype, wrap)
    timed(run, 4)  # compiles, and captures what is replayed
    count = max(1, round(ROUND_SECONDS / timed(run, 3)))
    ms = [1000 * timed(run, count) for _ in range(given.rounds)]
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU"
    print(json.dumps({"device": name, "torch": torch.__version__, "ms": ms}))


if __name__ == "__main__":
    main()
