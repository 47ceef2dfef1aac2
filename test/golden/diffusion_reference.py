"""Gaussian diffusion in numpy float64, written from the formulas: the judge of ditc's models/diffusion.ts.

A `Process` is one schedule, possibly respaced; its step index j runs 0 .. len-1 and `timestep_map[j]` is the original
timestep that the model receives.
"""

import math

import numpy as np


def linear_betas(steps=1000):
    scale = 1000 / steps
    return np.linspace(scale * 1e-4, scale * 0.02, steps, dtype=np.float64)


def squaredcos_betas(steps=1000):
    """squaredcos_cap_v2: β from ᾱ(s) = cos²((s + 0.008)/1.008 · π/2), capped at 0.999."""
    def alpha_bar(s):
        return math.cos((s + 0.008) / 1.008 * math.pi / 2) ** 2

    return np.array([min(1 - alpha_bar((i + 1) / steps) / alpha_bar(i / steps), 0.999) for i in range(steps)])


BETAS = {"linear": linear_betas, "squaredcos_cap_v2": squaredcos_betas}


def space_timesteps(steps, spacing=""):
    """The original timesteps that are kept, ascending. `spacing`: "", "ddimN", "a,b,c" or a list of section counts."""
    if spacing in ("", None):
        spacing = [steps]
    if isinstance(spacing, str) and spacing.startswith("ddim"):
        wanted = int(spacing.removeprefix("ddim"))
        for stride in range(1, steps):
            if len(range(0, steps, stride)) == wanted:
                return list(range(0, steps, stride))
        raise ValueError(f"no integer stride gives {wanted} of {steps} steps")
    counts = [int(n) for n in spacing.split(",")] if isinstance(spacing, str) else list(spacing)
    size, larger = divmod(steps, len(counts))
    kept, start = set(), 0
    for section, count in enumerate(counts):
        length = size + (section < larger)
        if count > length:
            raise ValueError(f"cannot keep {count} of {length} steps")
        stride = (length - 1) / (count - 1) if count > 1 else 1
        position = 0.0
        for _ in range(count):
            kept.add(start + round(position))  # Python's round: halves go to the even neighbour
            position += stride
        start += length
    return sorted(kept)


class Process:
    """Constants of the process (docs/numbers.md), each an array over the (respaced) steps."""

    def __init__(self, betas, timesteps=None):
        if timesteps is not None:
            kept = np.cumprod(1 - betas)[timesteps]
            betas = 1 - kept / np.append(1.0, kept[:-1])
        self.timestep_map = list(range(len(betas))) if timesteps is None else list(timesteps)
        self.betas = betas
        self.alphas_cumprod = ac = np.cumprod(1 - betas)
        self.alphas_cumprod_prev = prev = np.append(1.0, ac[:-1])
        self.alphas_cumprod_next = np.append(ac[1:], 0.0)
        self.sqrt_alphas_cumprod = np.sqrt(ac)
        self.sqrt_one_minus_alphas_cumprod = np.sqrt(1 - ac)
        self.log_one_minus_alphas_cumprod = np.log(1 - ac)
        self.sqrt_recip_alphas_cumprod = np.sqrt(1 / ac)
        self.sqrt_recipm1_alphas_cumprod = np.sqrt(1 / ac - 1)
        self.posterior_variance = variance = betas * (1 - prev) / (1 - ac)
        # Entry 0 is 0, so its logarithm borrows entry 1. A one-step process has none: β, which is never used there.
        first = variance[1] if len(betas) > 1 else betas[0]
        self.posterior_log_variance_clipped = np.log(np.append(first, variance[1:]))
        self.log_betas = np.log(betas)
        self.fixed_large_log_variance = np.log(np.append(first, betas[1:]))
        self.posterior_mean_coef1 = betas * np.sqrt(prev) / (1 - ac)
        self.posterior_mean_coef2 = (1 - prev) * np.sqrt(1 - betas) / (1 - ac)

    def __len__(self):
        return len(self.betas)

    def q_sample(self, x0, j, noise):
        return self.sqrt_alphas_cumprod[j] * x0 + self.sqrt_one_minus_alphas_cumprod[j] * noise

    def predict_x0(self, x, j, eps):
        return self.sqrt_recip_alphas_cumprod[j] * x - self.sqrt_recipm1_alphas_cumprod[j] * eps

    def predict_eps(self, x, j, x0):
        return (self.sqrt_recip_alphas_cumprod[j] * x - x0) / self.sqrt_recipm1_alphas_cumprod[j]

    def q_posterior_mean(self, x0, x, j):
        return self.posterior_mean_coef1[j] * x0 + self.posterior_mean_coef2[j] * x

    def log_variance(self, v, j):
        """Learned range from the logits v; FIXED_LARGE where the model has none."""
        if v is None:
            return self.fixed_large_log_variance[j]
        frac = (v + 1) / 2
        return frac * self.log_betas[j] + (1 - frac) * self.posterior_log_variance_clipped[j]

    def p_mean_variance(self, eps, v, x, j, clip=False):
        """-> mean, log variance, predicted x0. `clip` bounds x0 to [-1,1] (pixels; latents are never clipped)."""
        x0 = self.predict_x0(x, j, eps)
        if clip:
            x0 = np.clip(x0, -1, 1)
        return self.q_posterior_mean(x0, x, j), self.log_variance(v, j), x0

    def p_sample(self, eps, v, x, j, noise, clip=False):
        """One DDPM step: x_j -> x_{j-1}."""
        mean, log_variance, _ = self.p_mean_variance(eps, v, x, j, clip)
        return mean + (j != 0) * np.exp(0.5 * log_variance) * noise

    def ddim_sample(self, eps, x, j, noise, eta=0.0, clip=False):
        """One DDIM step: x_j -> x_{j-1}."""
        x0 = self.predict_x0(x, j, eps)
        if clip:
            x0 = np.clip(x0, -1, 1)
        eps = self.predict_eps(x, j, x0)
        ac, prev = self.alphas_cumprod[j], self.alphas_cumprod_prev[j]
        sigma = eta * np.sqrt((1 - prev) / (1 - ac)) * np.sqrt(1 - ac / prev)
        return np.sqrt(prev) * x0 + np.sqrt(1 - prev - sigma**2) * eps + (j != 0) * sigma * noise

    def ddim_reverse_sample(self, eps, x, j):
        """One DDIM step towards noise: x_j -> x_{j+1}. Of data itself j is 0, and after the last step there is noise alone."""
        next_ac = self.alphas_cumprod_next[j]
        return np.sqrt(next_ac) * self.predict_x0(x, j, eps) + np.sqrt(1 - next_ac) * eps

    def heun_sample(self, ask, x, j):
        """One step of Heun along DDIM's way, Karras et al. 2022, algorithm 1; the last is Euler's. `ask(x, j)` is ε."""
        prev = self.alphas_cumprod_prev[j]
        step = lambda eps: np.sqrt(prev) * self.predict_x0(x, j, eps) + np.sqrt(1 - prev) * eps
        eps = ask(x, j)
        return step((eps + ask(step(eps), j - 1)) / 2 if j else eps)

    def half_log_snr(self, j):
        """λ = log(α/σ) at step j; of the data itself, j = -1, infinite."""
        return np.inf if j < 0 else 0.5 * np.log(self.alphas_cumprod[j] / (1 - self.alphas_cumprod[j]))

    def dpm_solver_sample(self, eps, x, j, before, clip=False):
        """One step of DPM-Solver++(2M), Lu et al. 2022b, algorithm 2: x_j, x0 of the step before -> x_{j-1}, x0."""
        x0 = self.predict_x0(x, j, eps)
        if clip:
            x0 = np.clip(x0, -1, 1)
        h = self.half_log_snr(j - 1) - self.half_log_snr(j)
        d = x0
        if 0 < j < len(self) - 1:
            r = (self.half_log_snr(j) - self.half_log_snr(j + 1)) / h
            d = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * before
        prev = self.alphas_cumprod_prev[j]
        ratio = np.sqrt(1 - prev) / np.sqrt(1 - self.alphas_cumprod[j])
        return ratio * x - np.sqrt(prev) * np.expm1(-h) * d, x0


def guide(cond, null, scale, guided_channels, in_channels):
    """Classifier-free guidance of model outputs [N,Cout,...]: the first `guided_channels` of ε are guided, the rest of
    ε and all variance logits are the conditional half's. -> ε, v (None when the model has no variance channels)."""
    out = cond.copy()
    g = min(guided_channels, in_channels)  # never the variance
    out[:, :g] = null[:, :g] + scale * (cond[:, :g] - null[:, :g])
    eps, v = out[:, :in_channels], out[:, in_channels:]
    return eps, (v if v.shape[1] else None)
