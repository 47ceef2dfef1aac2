"""The training loss (Peebles & Xie 2023; Nichol & Dhariwal 2021) in PyTorch (any dtype): MSE + one term of the variational bound, in bits."""

import math

import numpy as np
import torch


def normal_cdf(u):
    """The tanh approximation that the original diffusion code uses."""
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))


class Loss:
    """For a model of ε (first half of its channels) and of the variance logits v (second half)."""

    def __init__(self, process, dtype=torch.float32):
        names = ("sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod",
                 "sqrt_recipm1_alphas_cumprod", "posterior_mean_coef1", "posterior_mean_coef2", "log_betas",
                 "posterior_log_variance_clipped")  # fmt: skip
        self.table = torch.tensor(np.stack([getattr(process, name) for name in names]), dtype=dtype)

    def at(self, t):
        """The eight constants at t [N], each [N,1,1,1]."""
        return self.table[:, t][..., None, None, None]

    def q_sample(self, x0, noise, t):
        ac, om = self.at(t)[:2]
        return ac * x0 + om * noise

    def terms(self, out, x0, noise, t):
        """-> mse [N], vlb [N]. The bound sees ε through a stop-gradient: it trains the variance alone."""
        _, _, recip, recipm1, c1, c2, log_beta, log_post = self.at(t)
        x = self.q_sample(x0, noise, t)
        eps, v = out.chunk(2, dim=1)
        mse = (noise - eps).square().mean((1, 2, 3))

        frac = (v + 1) / 2
        log_var = frac * log_beta + (1 - frac) * log_post
        mean = c1 * (recip * x - recipm1 * eps.detach()) + c2 * x
        true_mean = c1 * x0 + c2 * x
        kl = 0.5 * (-1 + log_var - log_post + (log_post - log_var).exp() + (true_mean - mean) ** 2 * (-log_var).exp())
        return mse, torch.where(t[:, None, None, None] == 0, self.nll(x0, mean, log_var), kl).mean((1, 2, 3)) / math.log(2)

    def nll(self, x0, mean, log_var):
        """-log p(x0) in nats under the Gaussian, over bins of 8-bit pixels; the outermost bins are open."""
        scale = (-0.5 * log_var).exp()
        upper = normal_cdf(scale * (x0 - mean + 1 / 255))
        lower = normal_cdf(scale * (x0 - mean - 1 / 255))
        inside = torch.where(x0 > 0.999, 1 - lower, upper - lower)
        return -torch.where(x0 < -0.999, upper, inside).clamp(min=1e-12).log()
