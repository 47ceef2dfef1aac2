"""Writes the flow-matching goldens:

    data/flow-step-<case>.safetensors    sampling from given model outputs: the samplers alone
    data/flow-model-<case>.safetensors   sampling with a tiny DiT in the loop, guided
    data/flow-train-<case>.safetensors   the loss of a tiny DiT and its gradient for every weight

Inputs are stored in float32, results are computed from the stored values in float64 and rounded once.
"""

import json

import numpy as np
import torch
from safetensors.numpy import save_file

from diffusion_reference import guide
from dit_reference import DiT, camel_case
from flow_reference import error, interpolant, noised, says, step, times
from make_forward import DATA, TINY, random_weights

SMALL = dict(TINY, hidden_size=16, num_heads=2, num_classes=5, learn_sigma=False)

STEPS = {
    "euler": dict(),
    "euler-cosine-cfg": dict(interpolant="cosine", cfg=3.0, cfgChannels=3),
    "euler-score": dict(prediction="score"),
    "euler-noise-cosine": dict(prediction="noise", interpolant="cosine"),
    "euler-x0-clip": dict(prediction="x0", clip=True),
    "heun": dict(sampler="heun"),
    "heun-cosine-cfg-clip": dict(sampler="heun", interpolant="cosine", cfg=2.0, cfgChannels=4, clip=True),
    "heun-noise": dict(sampler="heun", prediction="noise"),
    "heun-score-cosine": dict(sampler="heun", prediction="score", interpolant="cosine"),
    "heun-x0": dict(sampler="heun", prediction="x0"),
    "sde": dict(sampler="euler-maruyama"),
    "sde-cosine-cfg": dict(sampler="euler-maruyama", interpolant="cosine", cfg=1.5, cfgChannels=3),
    "sde-score": dict(sampler="euler-maruyama", prediction="score"),
    "sde-noise-cosine": dict(sampler="euler-maruyama", prediction="noise", interpolant="cosine"),
    "sde-x0-clip": dict(sampler="euler-maruyama", prediction="x0", clip=True),
}
STEP_DEFAULTS = dict(sampler="euler", interpolant="linear", prediction="velocity", steps=5, cfg=1.0, cfgChannels=3,
                     clip=False, inChannels=4)  # fmt: skip


def single(x):
    """Rounded as the file will hold it."""
    return np.asarray(x).astype(np.float32).astype(np.float64)


def make_steps(case, changes):
    config = {**STEP_DEFAULTS, **changes}
    rng = np.random.default_rng(sum(case.encode()))
    c, cfg, kind = config["inChannels"], config["cfg"], (config["interpolant"], config["prediction"])
    visited = times(config["steps"], config["prediction"])
    x = start = single(rng.standard_normal((2, c, 4, 4)))
    noise = single(rng.standard_normal((config["steps"], *x.shape)))
    given = {"cond": [], "null": []}  # one a step, or two
    kept = []

    def ask(x, t):
        """Outputs of a model that has a picture in mind; guidance lands there."""
        aim = says(*kind, 0.8 * rng.standard_normal(x.shape), x, t)
        pull = 0.2 * rng.standard_normal(x.shape) * interpolant(config["interpolant"], float(t))[0]
        cond = single(aim - (cfg - 1) * pull)
        null = single(cond - pull)
        given["cond"].append(cond)
        given["null"].append(null)
        return guide(cond, null, cfg, config["cfgChannels"], c)[0]

    for k, (t, s) in enumerate(zip(visited, visited[1:])):
        x = step(config["sampler"], *kind, ask, x, t, s, noise[k], config["clip"])
        kept.append(x)
    tensors = {"input.x": start, "input.noise": noise, "output.x": np.stack(kept)}
    tensors |= {f"input.{name}": np.stack(values) for name, values in given.items()}
    save(f"flow-step-{case}", tensors, config)
    return np.abs(x).max()


MODELS = {
    "euler": dict(sampler="euler", flow=dict(interpolant="linear", prediction="velocity")),
    "heun": dict(sampler="heun", flow=dict(interpolant="cosine", prediction="velocity")),
}


def small_model(case, **changes):
    generator = torch.Generator().manual_seed(sum(case.encode()))
    config = {**SMALL, **changes}
    model = DiT(**config).double().eval()
    random_weights(model, generator)
    params = {f"param.{name}": p.detach().numpy() for name, p in model.named_parameters()}
    return config, model, generator, params


@torch.no_grad()
def make_model(case, settings, steps=6, cfg=2.5):
    config, model, generator, params = small_model(case, depth=1)
    y = torch.tensor([1, 4, 0])
    size = config["input_size"]
    x = start = torch.randn(3, 4, size, size, generator=generator).double().numpy()
    kind = (settings["flow"]["interpolant"], settings["flow"]["prediction"])

    def ask(x, t):
        xs = torch.from_numpy(x).repeat(2, 1, 1, 1)
        labels = torch.cat([y, torch.full_like(y, config["num_classes"])])
        cond, null = model(xs, torch.full((6,), 1000 * t, dtype=torch.float64), labels).numpy().reshape(2, *x.shape)
        return guide(cond, null, cfg, 4, 4)[0]

    visited, kept = times(steps, settings["flow"]["prediction"]), []
    for t, s in zip(visited, visited[1:]):
        x = step(settings["sampler"], *kind, ask, x, t, s, None)
        kept.append(x)
    tensors = {**params, "input.x": start, "input.y": y.int().numpy(), "output.x": np.stack(kept)}
    options = dict(sampler=settings["sampler"], steps=steps, cfg=cfg, cfgChannels="all")
    save(f"flow-model-{case}", tensors, dict(model={**camel_case(config), "flow": settings["flow"]}, options=options))


TRAIN = {
    "velocity": dict(interpolant="linear", prediction="velocity"),
    "velocity-cosine-sigma": dict(interpolant="cosine", prediction="velocity"),
    "score": dict(interpolant="linear", prediction="score"),
    "noise-cosine": dict(interpolant="cosine", prediction="noise"),
    "x0": dict(interpolant="linear", prediction="x0"),
}


def make_train(case, flow):
    config, model, generator, params = small_model(case, depth=1, learn_sigma=case.endswith("sigma"))
    size = config["input_size"]
    t = torch.tensor([0.0, 0.11, 0.5, 0.77, 1.0])
    y = torch.tensor([0, 1, 2, 5, 4], dtype=torch.int32)
    x0, noise = torch.randn(2, len(t), 4, size, size, generator=generator)
    kind, at = (flow["interpolant"], flow["prediction"]), t.double()
    out = model(noised(flow["interpolant"], x0.double(), noise.double(), at), 1000 * at, y)[:, :4]
    mse = error(*kind, out, x0.double(), noise.double(), at).square().mean((1, 2, 3))
    mse.mean().backward()
    grads = {f"grad.{n}": p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None and n != "pos_embed"}
    tensors = {**params, **grads, "input.x0": x0.numpy(), "input.noise": noise.numpy(), "input.t": t.numpy(),
               "input.y": y.numpy(), "output.mse": mse.detach().numpy()}  # fmt: skip
    save(f"flow-train-{case}", tensors, {**camel_case(config), "flow": flow})


def save(name, tensors, config):
    tensors = {k: np.ascontiguousarray(v if v.dtype == np.int32 else v.astype(np.float32)) for k, v in tensors.items()}
    save_file(tensors, DATA / f"{name}.safetensors", metadata={"config": json.dumps(config)})


if __name__ == "__main__":
    for case, changes in STEPS.items():
        print(case, "largest", make_steps(case, changes))
    for case, settings in MODELS.items():
        make_model(case, settings)
    for case, flow in TRAIN.items():
        make_train(case, flow)
