"""Whether `ditc sample models/digits.ts` draws what PyTorch and numpy draw with the same weights and the same noise.

    npx ditc sample models/digits.ts --weights models/digits.safetensors --classes 0-3 --steps 250 --sampler heun --out drawn.npy
    python test/golden/check_sampling.py drawn.npy --classes 0,1,2,3 --steps 250 --sampler heun

Run from the repository root. The noise is Philox 4×32-10 (Salmon et al. 2011) written again here, by models/diffusion.ts's counters:
element, picture, step; the network is dit_reference.py in float64, the sampler flow_reference.py.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from diffusion_reference import guide
from dit_reference import DiT
from flow_reference import step, times
from train_digits import CONFIG, FLOW, TIMESTEPS

START = 0xFFFFFFFF
PIXELS = 28 * 28
# The whole trajectory in float32 against float64; guidance multiplies what differs.
TOLERANCE = 1e-3


def philox(counter, key):
    """Four words [4, …] of 32 bits from counters [4, …] and a key of two."""
    c, (low, high) = [np.asarray(word, np.uint64) for word in counter], key
    mask = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p, q = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        shift = np.uint64(32)
        c = [(q >> shift) ^ c[1] ^ np.uint64(low), q & mask, (p >> shift) ^ c[3] ^ np.uint64(high), p & mask]
        low, high = (low + 0x9E3779B9) & 0xFFFFFFFF, (high + 0xBB67AE85) & 0xFFFFFFFF
    return c


def normal(seed, pictures, step):
    """[pictures, 1, 28, 28] by Box and Muller."""
    element, picture = np.meshgrid(np.arange(PIXELS), np.arange(pictures))
    zero = np.zeros_like(element)
    words = philox([element, picture, zero + step, zero], (seed & 0xFFFFFFFF, seed >> 32))
    a, b = (((word >> np.uint64(8)).astype(np.float64) + 0.5) * 2.0**-24 for word in words[:2])
    return (np.sqrt(-2 * np.log(a)) * np.cos(2 * np.pi * b)).reshape(-1, 1, 28, 28)


@torch.no_grad()
def draw(args, labels):
    model = DiT(**CONFIG).double().eval()
    weights = {name: value.double() for name, value in load_file(args.weights).items()}
    model.load_state_dict({**model.state_dict(), **weights})
    interpolant, prediction = FLOW["interpolant"], FLOW["prediction"]
    n = len(labels)
    y = torch.tensor(labels + [CONFIG["num_classes"]] * n)

    def ask(x, t):
        twice = torch.from_numpy(x).repeat(2, 1, 1, 1)
        out = model(twice, torch.full((2 * n,), TIMESTEPS * t, dtype=torch.float64), y).numpy()
        return guide(out[:n], out[n:], args.cfg, 1, 1)[0]

    x, visited = normal(args.seed, n, START), times(args.steps, prediction)
    for k, (t, s) in enumerate(zip(visited, visited[1:])):
        x = step(args.sampler, interpolant, prediction, ask, x, t, s, normal(args.seed, n, args.steps - 1 - k))
    return x


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples")
    parser.add_argument("--classes", default="0,1,2,3")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--sampler", choices=("euler", "heun", "euler-maruyama"), default="euler")
    parser.add_argument("--cfg", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, default=Path("models/digits.safetensors"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    drawn = np.load(args.samples)
    expected = draw(args, [int(label) for label in args.classes.split(",")])
    errors = np.sqrt(((drawn - expected) ** 2).sum((1, 2, 3)) / (expected**2).sum((1, 2, 3)))
    print(f"{args.steps} steps of {args.sampler}: relative errors", " ".join(f"{error:.1e}" for error in errors))
    if not errors.max() <= TOLERANCE:
        sys.exit(f"a picture is off by more than {TOLERANCE}")


if __name__ == "__main__":
    main()
