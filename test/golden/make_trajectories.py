"""Writes data/trajectory-<case>.safetensors: sampling with a tiny DiT in the loop, guided, by every sampler that data/flow-model-* has not.

Noise is what ditc draws from seed 0. Weights are stored in float32, results are computed from the stored values in float64 and rounded once.
"""

import numpy as np
import torch

from diffusion_reference import BETAS, Process, guide, space_timesteps
from dit_reference import camel_case
from flow_reference import step, times
from make_flow import save, small_model
from noise_reference import START, normal

STEPS, CFG = 6, 2.5

DDPM = {
    "ddpm": dict(sampler="ddpm"),
    "ddpm-cosine-clip": dict(sampler="ddpm", schedule="squaredcos", clip=True),
    "ddim": dict(sampler="ddim"),
    "ddim-eta": dict(sampler="ddim", eta=0.5),
    "dpm-solver": dict(sampler="dpm++"),
    "heun": dict(sampler="heun"),
}
FLOW = {
    "euler-maruyama": dict(interpolant="linear", prediction="velocity"),
    "euler-maruyama-noise": dict(interpolant="cosine", prediction="noise"),
}


@torch.no_grad()
def make(case, kind, options, trajectory):
    config, model, _, params = small_model(case, depth=1, learn_sigma=not kind)
    y = torch.tensor([1, 4, 0])
    shape = (3, 4, config["input_size"], config["input_size"])

    def ask(x, timestep):
        """-> ε or whatever the model predicts, guided, and v where it has one."""
        labels = torch.cat([y, torch.full_like(y, config["num_classes"])])
        twice = torch.from_numpy(x).repeat(2, 1, 1, 1)
        out = model(twice, torch.full((6,), float(timestep), dtype=torch.float64), labels).numpy()
        return guide(out[:3], out[3:], CFG, 4, 4)

    start = normal(0, shape, START)
    kept = trajectory(ask, start, lambda j: normal(0, shape, j))
    tensors = {**params, "input.x": start, "input.y": y.int().numpy()}
    tensors |= {f"output.{name}": np.stack(values) for name, values in kept.items()}
    options = dict(**options, steps=STEPS, cfg=CFG, cfgChannels="all")
    save(f"trajectory-{case}", tensors, dict(model={**camel_case(config), **kind}, options=options))


def ddpm(case, sampler, schedule="linear", eta=0.0, clip=False):
    betas = BETAS["linear" if schedule == "linear" else "squaredcos_cap_v2"](1000)
    process = Process(betas, space_timesteps(1000, str(STEPS)))

    def trajectory(ask, x, noise):
        xs, x0s, before = [], [], None
        for j in reversed(range(len(process))):
            eps, v = ask(x, process.timestep_map[j])
            if sampler == "ddpm":
                x = process.p_sample(eps, v, x, j, noise(j), clip)
            elif sampler == "ddim":
                x = process.ddim_sample(eps, x, j, noise(j), eta, clip)
            elif sampler == "heun":
                x = process.heun_sample(lambda x, j: ask(x, process.timestep_map[j])[0], x, j)
            else:
                x, before = process.dpm_solver_sample(eps, x, j, before, clip)
                x0s.append(before)
            xs.append(x)
        return {"x": xs, "x0": x0s} if x0s else {"x": xs}

    make(case, dict(), dict(sampler=sampler, schedule=schedule, eta=eta, clip=clip), trajectory)


def flow(case, interpolant, prediction):
    def trajectory(ask, x, noise):
        xs, visited = [], times(STEPS, prediction)
        for k, (t, s) in enumerate(zip(visited, visited[1:])):
            says = lambda x, t: ask(x, 1000 * t)[0]
            x = step("euler-maruyama", interpolant, prediction, says, x, t, s, noise(STEPS - 1 - k))
            xs.append(x)
        return {"x": xs}

    make(case, dict(flow=dict(interpolant=interpolant, prediction=prediction)), dict(sampler="euler-maruyama"), trajectory)


if __name__ == "__main__":
    for case, options in DDPM.items():
        ddpm(case, **options)
    for case, kind in FLOW.items():
        flow(case, **kind)
