"""Flow matching in numpy float64, written from the formulas of SiT (Ma et al. 2024): the judge of ditc's models/flow.ts.

x_t = α(t)·x₀ + σ(t)·ε, t from 0 (picture) to 1 (noise). Nothing is simplified: each step is the textbook's, in velocity and score.
"""

import math

import numpy as np

NEARLY_NOISE = 0.999  # where noise and score predictions begin


def interpolant(name, t):
    """-> α, σ, dα/dt, dσ/dt; t a number or an array of numpy or torch."""
    if name == "linear":
        return 1 - t, t, 0 * t - 1, 0 * t + 1
    lib = np if isinstance(t, (float, np.ndarray)) else __import__("torch")
    angle = math.pi / 2 * t
    return lib.cos(angle), lib.sin(angle), -math.pi / 2 * lib.sin(angle), math.pi / 2 * lib.cos(angle)


def first_time(prediction):
    return NEARLY_NOISE if prediction in ("noise", "score") else 1.0


def times(steps, prediction):
    """The steps + 1 times that sampling visits, from noise to picture."""
    return np.linspace(first_time(prediction), 0.0, steps + 1)


def picture_and_noise(name, prediction, out, x, t):
    """x̂₀ and ε̂ from what a model says at x and t."""
    alpha, sigma, alpha_slope, sigma_slope = interpolant(name, float(t))
    if prediction == "velocity":  # α·x₀ + σ·ε = x and α'·x₀ + σ'·ε = v
        pair = np.linalg.solve([[alpha, sigma], [alpha_slope, sigma_slope]], np.stack([x.ravel(), out.ravel()]))
        return pair[0].reshape(x.shape), pair[1].reshape(x.shape)
    if prediction == "x0":
        return out, (x - alpha * out) / sigma
    eps = out if prediction == "noise" else -sigma * out
    return (x - sigma * eps) / alpha, eps


def says(name, prediction, x0, x, t):
    """What a model would say at x and t that takes x₀ for the picture."""
    alpha, sigma, alpha_slope, sigma_slope = interpolant(name, float(t))
    eps = (x - alpha * x0) / sigma
    return {"velocity": alpha_slope * x0 + sigma_slope * eps, "noise": eps, "score": -eps / sigma, "x0": x0}[prediction]


def field(name, prediction, out, x, t, clip):
    """-> velocity, score, x̂₀; clipping x̂₀ changes the others too."""
    x0, eps = picture_and_noise(name, prediction, out, x, t)
    alpha, sigma, alpha_slope, sigma_slope = interpolant(name, float(t))
    if clip:
        x0 = np.clip(x0, -1, 1)
        eps = (x - alpha * x0) / sigma
    return alpha_slope * x0 + sigma_slope * eps, -eps / sigma, x0


def step(sampler, name, prediction, ask, x, t, s, noise, clip=False):
    """x at t -> x at s < t. `ask(x, t)` is the model; s = 0 ends with x̂₀."""
    h = t - s
    v, score, x0 = field(name, prediction, ask(x, t), x, t, clip)
    if s == 0:
        return x0
    if sampler == "euler":
        return x - h * v
    if sampler == "heun":
        there = x - h * v
        second, _, _ = field(name, prediction, ask(there, s), there, s, clip)
        return x - h * (v + second) / 2
    if sampler == "euler-maruyama":  # dx = (v − ½w·score) dt + √w dW, backwards; w = σ
        w = interpolant(name, float(t))[1]
        return x - h * (v - 0.5 * w * score) + np.sqrt(h * w) * noise
    raise ValueError(sampler)


NEARLY_PICTURE = 0.001  # where score and x0 predictions begin on the way to noise


def times_to_noise(steps, prediction):
    """The steps + 1 times that are visited from picture to noise."""
    visited = times(steps, prediction)[::-1].copy()
    visited[0] = NEARLY_PICTURE if prediction in ("score", "x0") else 0.0
    return visited


def velocity(name, prediction, out, x, t):
    """dx/dt from what a model says; at t = 0 too, where x is the picture."""
    if prediction == "velocity":
        return out
    x0, eps = picture_and_noise(name, prediction, out, x, t)
    _, _, alpha_slope, sigma_slope = interpolant(name, float(t))
    return alpha_slope * x0 + sigma_slope * eps


def step_to_noise(sampler, name, prediction, ask, x, t, s):
    """x at t -> x at s > t, along the ODE."""
    h = s - t
    v = velocity(name, prediction, ask(x, t), x, t)
    if sampler == "euler":
        return x + h * v
    if sampler == "heun":
        there = x + h * v
        return x + h * (v + velocity(name, prediction, ask(there, s), there, s)) / 2
    raise ValueError(sampler)


def error(name, prediction, out, x0, noise, t):
    """What the loss squares, torch [N,...]; t [N]."""
    alpha, sigma, alpha_slope, sigma_slope = (a.reshape(-1, 1, 1, 1) for a in interpolant(name, t))
    return {
        "velocity": out - (alpha_slope * x0 + sigma_slope * noise),
        "noise": out - noise,
        "score": sigma * out + noise,
        "x0": out - x0,
    }[prediction]


def noised(name, x0, noise, t):
    alpha, sigma, _, _ = (a.reshape(-1, 1, 1, 1) for a in interpolant(name, t))
    return alpha * x0 + sigma * noise
