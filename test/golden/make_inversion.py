"""Writes data/inversion-<case>.safetensors: a tiny DiT on the way from pictures to their noise, by DDIM and by flow matching.

Inputs are stored in float32, results are computed from the stored values in float64 and rounded once.
"""

import numpy as np
import torch

from diffusion_reference import BETAS, Process, guide, space_timesteps
from dit_reference import camel_case
from flow_reference import step_to_noise, times_to_noise
from make_flow import save, small_model

STEPS = 6

DDPM = {
    "ddim": dict(),
    "ddim-cosine-cfg": dict(schedule="squaredcos", cfg=2.0),
}

FLOW = {
    "euler": dict(interpolant="linear", prediction="velocity"),
    "euler-cosine-noise": dict(interpolant="cosine", prediction="noise"),
    "euler-score-cfg": dict(interpolant="linear", prediction="score"),
    "heun-cosine": dict(interpolant="cosine", prediction="velocity"),
    "heun-x0": dict(interpolant="linear", prediction="x0"),
}


def asking(model, config, y, cfg):
    """The first four channels of what the model says of x at timestep t, guided."""

    def ask(x, t):
        xs = torch.from_numpy(x).repeat(2, 1, 1, 1)
        labels = torch.cat([y, torch.full_like(y, config["num_classes"])])
        out = model(xs, torch.full((2 * len(x),), float(t), dtype=torch.float64), labels).numpy()
        cond, null = out.reshape(2, len(x), *out.shape[1:])
        return guide(cond, null, cfg, 4, 4)[0]

    return ask


@torch.no_grad()
def make(case, cfg, kind, options, trajectory):
    config, model, generator, params = small_model(case, depth=1, learn_sigma=not kind)
    y = torch.tensor([1, 4, 0])
    size = config["input_size"]
    start = (0.8 * torch.randn(3, 4, size, size, generator=generator)).double().numpy()
    kept = trajectory(asking(model, config, y, cfg), start)
    tensors = {**params, "input.images": start, "input.y": y.int().numpy(), "output.x": np.stack(kept)}
    options = dict(**options, steps=STEPS, cfg=cfg, cfgChannels="all")
    save(f"inversion-{case}", tensors, dict(model={**camel_case(config), **kind}, options=options))


def ddim(case, schedule="linear", cfg=1.0):
    process = Process(BETAS["linear" if schedule == "linear" else "squaredcos_cap_v2"](1000),
                      space_timesteps(1000, str(STEPS)))  # fmt: skip

    def trajectory(ask, x):
        kept = []
        for j in range(len(process)):
            x = process.ddim_reverse_sample(ask(x, process.timestep_map[j]), x, j)
            kept.append(x)
        return kept

    make(case, cfg, dict(), dict(sampler="ddim", schedule=schedule), trajectory)


def flow(case, **kind):
    names = kind["interpolant"], kind["prediction"]
    sampler, cfg = case.split("-")[0], 2.0 if case.endswith("cfg") else 1.0

    def trajectory(ask, x):
        visited, kept = times_to_noise(STEPS, names[1]), []
        for t, s in zip(visited, visited[1:]):
            x = step_to_noise(sampler, *names, lambda at, time: ask(at, 1000 * time), x, t, s)
            kept.append(x)
        return kept

    make(case, cfg, dict(flow=kind), dict(sampler=sampler), trajectory)


if __name__ == "__main__":
    for case, changes in DDPM.items():
        ddim(case, **changes)
    for case, kind in FLOW.items():
        flow(case, **kind)
