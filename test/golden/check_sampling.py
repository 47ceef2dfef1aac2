"""Whether `ditc sample models/digits.ts` draws what PyTorch and numpy draw with the same weights and the same noise.

    npx ditc sample models/digits.ts --weights models/digits.safetensors --classes 0-3 --steps 250 --sampler heun --out drawn.npy
    python test/golden/check_sampling.py drawn.npy --classes 0,1,2,3 --steps 250 --sampler heun

Run from the repository root. The noise is noise_reference.py's, the network dit_reference.py in float64, the sampler
flow_reference.py.
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
from noise_reference import START, normal
from train_digits import CONFIG, FLOW, TIMESTEPS

# The whole trajectory in float32 against float64; guidance multiplies what differs.
TOLERANCE = 1e-3


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

    noise = lambda step: normal(args.seed, (n, 1, 28, 28), step)
    x, visited = noise(START), times(args.steps, prediction)
    for k, (t, s) in enumerate(zip(visited, visited[1:])):
        x = step(args.sampler, interpolant, prediction, ask, x, t, s, noise(args.steps - 1 - k))
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
