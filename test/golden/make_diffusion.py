"""Writes the diffusion goldens: data/respacing.json, data/schedule.json, data/sampling-<case>.safetensors and
data/loss-<case>.safetensors.

Model outputs are given tensors here, so these files test the sampler and the loss alone. Inputs are stored in float32,
results are computed from the stored values in float64 and rounded once.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from diffusion_reference import BETAS, Process, guide, linear_betas, space_timesteps
from loss_reference import Loss

DATA = Path(__file__).parent / "data"
T = 1000

CONSTANTS = {  # name in schedule.json: attribute of Process
    "beta": "betas", "alphaBar": "alphas_cumprod", "alphaBarPrev": "alphas_cumprod_prev",
    "alphaBarNext": "alphas_cumprod_next", "sqrtAlphaBar": "sqrt_alphas_cumprod",
    "sqrtOneMinusAlphaBar": "sqrt_one_minus_alphas_cumprod", "logOneMinusAlphaBar": "log_one_minus_alphas_cumprod",
    "sqrtRecipAlphaBar": "sqrt_recip_alphas_cumprod", "sqrtRecipM1AlphaBar": "sqrt_recipm1_alphas_cumprod",
    "posteriorVariance": "posterior_variance", "posteriorLogVarianceClipped": "posterior_log_variance_clipped",
    "logBeta": "log_betas", "fixedLargeLogVariance": "fixed_large_log_variance",
    "posteriorMeanCoef1": "posterior_mean_coef1", "posteriorMeanCoef2": "posterior_mean_coef2",
}  # fmt: skip


def rounds_half_up_differently(count):
    """Whether JavaScript's Math.round would keep other timesteps than Python's round."""
    if count < 2:
        return False
    stride, position, half_up = (T - 1) / (count - 1), 0.0, set()
    for _ in range(count):
        half_up.add(int(np.floor(position + 0.5)))
        position += stride
    return sorted(half_up) != space_timesteps(T, [count])


def make_respacing():
    differing = [n for n in range(1, T + 1) if rounds_half_up_differently(n)]
    # The long sets are checked by the lists just below them; up to 250 the files stay small.
    plain = sorted({*range(1, 41), 49, 50, 64, 99, 100, 125, 128, 200, 250, 500, *differing})
    ddim = (2, 3, 5, 7, 10, 20, 25, 50, 100, 250, 500, 1000)
    lists = ("10,10", "1,2,3", "3,0,2", "10,15,20", "7,13,19", "100,50,25,25", "1,1,1,1,1,1,1", "334,333,333")
    cases = [(T, str(n)) for n in plain] + [(T, f"ddim{n}") for n in ddim] + [(T, s) for s in lists]
    cases += [(T, ""), (100, "7"), (100, "10,20"), (37, "5"), (37, "4,4,4"), (4000, "50"), (10, "ddim5"), (7, "7")]
    rows = []
    for steps, spacing in cases:
        kept = space_timesteps(steps, spacing)
        row = {"steps": steps, "spacing": spacing, "count": len(kept), "sum": sum(kept)}
        # A long set is stored as its count, sum and sum of t·(index + 1), which together pin every rounding.
        row["weightedSum"] = sum(t * (i + 1) for i, t in enumerate(kept))
        if len(kept) <= 128:
            row["timesteps"] = kept
        rows.append(row)
    errors = [{"steps": T, "spacing": s} for s in ("ddim1", "ddim300", "ddim600", "1001", "600,300", "ddim0")]
    for error in errors:
        try:
            space_timesteps(error["steps"], error["spacing"])
        except ValueError:
            continue
        raise AssertionError(error)
    write_json("respacing", {"cases": rows, "errors": errors, "halfToEvenMatters": differing})


def make_schedule():
    rows = []
    for schedule, betas in BETAS.items():
        for spacing in ("", "250", "50", "10", "7", "ddim25"):
            process = Process(betas(T), space_timesteps(T, spacing))
            last = len(process) - 1
            steps = sorted({0, 1, 2, last // 10, last // 4, last // 2, 3 * last // 4, last - 1, last})
            values = {name: [float(getattr(process, key)[j]) for j in steps] for name, key in CONSTANTS.items()}
            rows.append({"schedule": schedule, "steps": T, "spacing": spacing, "count": len(process), "index": steps,
                         "timestep": [process.timestep_map[j] for j in steps], **values})  # fmt: skip
    short = linear_betas(250)
    rows_betas = [{"schedule": "linear", "steps": 250, "first": short[0], "last": short[-1]}]
    write_json("schedule", {"cases": rows, "otherLengths": rows_betas})


def write_json(name, value):
    (DATA / f"{name}.json").write_text(json.dumps(value, indent=1))  # Prettier gives it its final layout


SAMPLING = {
    "ddpm": dict(),
    "ddpm-cfg4-3ch": dict(cfg=4.0, cfgChannels=3),
    "ddpm-cfg4-4ch": dict(cfg=4.0, cfgChannels=4),
    "ddpm-fixed-large": dict(learnSigma=False, cfg=1.5, cfgChannels=4),
    "ddpm-cosine": dict(schedule="squaredcos_cap_v2", spacing="ddim5", cfg=1.5),
    "ddpm-clip": dict(clip=True),
    "ddim": dict(sampler="ddim"),
    "ddim-eta0.5": dict(sampler="ddim", eta=0.5),
    "ddim-cfg4-3ch": dict(sampler="ddim", cfg=4.0, cfgChannels=3),
    "ddim-eta0.5-cfg4-4ch": dict(sampler="ddim", eta=0.5, cfg=4.0, cfgChannels=4),
    "ddim-clip": dict(sampler="ddim", clip=True, spacing="ddim5"),
    "dpm-solver": dict(sampler="dpm++"),
    "dpm-solver-cfg4-clip": dict(sampler="dpm++", cfg=4.0, cfgChannels=4, clip=True, schedule="squaredcos_cap_v2"),
}
SAMPLING_DEFAULTS = dict(sampler="ddpm", schedule="linear", steps=T, spacing="5", eta=0.0, cfg=1.0, cfgChannels=3,
                         learnSigma=True, clip=False, inChannels=4)  # fmt: skip


def plausible_outputs(process, x, j, config, normal):
    """Both halves' model outputs, such that guidance lands on an image of ordinary size, as a trained model's would;
    so every step's noise, variance and guidance stay visible in the trajectory."""
    gain = process.sqrt_recipm1_alphas_cumprod[j]  # of ε in the predicted image
    aim = process.predict_eps(x, j, 0.8 * normal(*x.shape)) if gain > 1 else normal(*x.shape)
    pull = 0.2 * normal(*x.shape) / max(1, gain)
    cond = aim - (config["cfg"] - 1) * pull
    null = cond - pull
    if config["learnSigma"]:
        cond, null = (np.concatenate([eps, 0.7 * normal(*x.shape)], axis=1) for eps in (cond, null))
    return (a.astype(np.float32).astype(np.float64) for a in (cond, null))


def make_sampling(case, changes):
    config = {**SAMPLING_DEFAULTS, **changes}
    process = Process(BETAS[config["schedule"]](T), space_timesteps(T, config["spacing"]))
    rng = np.random.default_rng(sum(case.encode()))
    count, c = len(process), config["inChannels"]

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32).astype(np.float64)

    x = start = normal(2, c, 4, 4)
    before = None
    noise = normal(count, *x.shape)
    given = {"cond": [], "null": []}
    kept = {"x": [], "eps": [], "x0": []}
    if config["sampler"] == "ddpm":
        kept |= {"mean": [], "logVariance": []}
    for k in range(count):  # k counts executed steps; j = count-1-k is the process's index
        j = count - 1 - k
        cond, null = plausible_outputs(process, x, j, config, normal)
        eps, v = guide(cond, null, config["cfg"], config["cfgChannels"], c)
        mean, log_variance, x0 = process.p_mean_variance(eps, v, x, j, config["clip"])
        if config["sampler"] == "ddpm":
            x = process.p_sample(eps, v, x, j, noise[k], config["clip"])
            kept["mean"].append(mean)
            kept["logVariance"].append(np.broadcast_to(log_variance, x.shape))
        elif config["sampler"] == "dpm++":
            x, before = process.dpm_solver_sample(eps, x, j, before, config["clip"])
        else:
            x = process.ddim_sample(eps, x, j, noise[k], config["eta"], config["clip"])
        for name, value in (("x", x), ("eps", eps), ("x0", x0)):
            kept[name].append(value)
        given["cond"].append(cond)
        given["null"].append(null)
    tensors = {"input.x": start, "input.noise": noise}
    tensors |= {f"input.{name}": np.stack(values) for name, values in given.items()}
    tensors |= {f"output.{name}": np.stack(values) for name, values in kept.items()}
    timesteps = process.timestep_map[::-1]  # in execution order
    save(f"sampling-{case}", tensors, {**config, "timesteps": timesteps})
    return np.abs(x).max()


def make_loss(case, t, schedule="linear", in_channels=4):
    """Per-sample MSE and VLB of given predictions, and the gradient of mean(mse + vlb) with respect to them."""
    process = Process(BETAS[schedule](T))
    rng = np.random.default_rng(sum(case.encode()))
    t = np.array(t)
    shape = (len(t), in_channels, 4, 4)

    def normal(gain, *shape):
        return (gain * rng.standard_normal(shape)).astype(np.float32)

    x0 = normal(0.8, *shape)  # beyond ±0.999 here and there: both edge branches at t = 0
    noise = normal(1, *shape)
    out = np.concatenate([0.9 * noise + normal(0.3, *shape), normal(0.7, *shape)], axis=1).astype(np.float32)
    prediction = torch.from_numpy(out.astype(np.float64)).requires_grad_()
    loss = Loss(process, torch.float64)
    arguments = [torch.from_numpy(a.astype(np.float64)) for a in (x0, noise)]
    mse, vlb = loss.terms(prediction, *arguments, torch.from_numpy(t))
    (mse + vlb).mean().backward()
    tensors = {"input.x0": x0, "input.noise": noise, "input.t": t.astype(np.int32), "input.out": out,
               "output.x": loss.q_sample(*arguments, torch.from_numpy(t)).numpy(),
               "output.mse": mse.detach().numpy(), "output.vlb": vlb.detach().numpy(),
               "output.grad": prediction.grad.numpy()}  # fmt: skip
    save(f"loss-{case}", tensors, dict(schedule=schedule, steps=T, inChannels=in_channels))


def save(name, tensors, config):
    tensors = {k: np.ascontiguousarray(v if v.dtype == np.int32 else v.astype(np.float32)) for k, v in tensors.items()}
    save_file(tensors, DATA / f"{name}.safetensors", metadata={"config": json.dumps(config)})
    print(name, *(f"{k} {list(v.shape)}" for k, v in tensors.items()))


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    make_respacing()
    make_schedule()
    for case, changes in SAMPLING.items():
        print("  largest", make_sampling(case, changes))
    make_loss("linear", [0, 0, 1, 10, 500, 999])
    make_loss("cosine", [0, 2, 300, 900], schedule="squaredcos_cap_v2", in_channels=3)
