"""Checks the references themselves: the numbers on record (docs/numbers.md) and diffusers' own DiT.

    python test/golden/check_reference.py
"""

import math

import numpy as np
import torch
from diffusers import DiTTransformer2DModel, DPMSolverMultistepScheduler

from diffusion_reference import Process, linear_betas, space_timesteps
from dit_reference import DiT, named_config, parameter_count, position_table, timestep_embedding
from make_forward import CASES, TINY, random_weights

# (with pos_embed, without), docs/numbers.md
PARAMETERS = {
    "DiT-S/8": (33_148_160, 33_142_016), "DiT-S/4": (32_945_024, 32_920_448), "DiT-S/2": (32_963_360, 32_865_056),
    "DiT-B/8": (130_881_536, 130_869_248), "DiT-B/4": (130_475_648, 130_426_496),
    "DiT-B/2": (130_512_416, 130_315_808), "DiT-L/8": (458_594_816, 458_578_432),
    "DiT-L/4": (458_053_760, 457_988_224), "DiT-L/2": (458_102_816, 457_840_672),
    "DiT-XL/8": (675_683_072, 675_664_640), "DiT-XL/4": (675_074_432, 675_000_704),
    "DiT-XL/2": (675_129_632, 674_834_720),
}  # fmt: skip
XL2_VARIANTS_MILLIONS = {"in-context": 449, "cross-attention": 598, "adaLN": 600, "adaLN-Zero": 675}


def check_parameter_counts():
    for name, counts in PARAMETERS.items():
        assert parameter_count(named_config(name)) == counts, name
    assert parameter_count(named_config("DiT-XL/2", 512)) == (676_014_368, 674_834_720)
    for block, millions in XL2_VARIANTS_MILLIONS.items():
        count = parameter_count(dict(named_config("DiT-XL/2"), block=block))[1]
        assert round(count / 1e6) == millions, (block, count)
        print(f"XL/2 {block}: {count:,} parameters without pos_embed")


def close(value, expected, digits=6):
    assert math.isclose(float(value), expected, rel_tol=0.6 * 10.0 ** (1 - digits)), (value, expected)


def check_golden_numbers():
    p = Process(linear_betas())
    table = {  # t: β, ᾱ, √(1/ᾱ−1), β̃, log β̃ clipped, log β, c1, c2
        1: (1.1991992e-4, 0.999780092072, 0.0148309237, 5.45318766e-5, -9.81672514, -9.02868637, 0.5452915, 0.454708499),
        500: (0.01005996, 0.077796658365, 3.44296711, 0.0100513358, -4.60004974, -4.59919209, 0.00305805708, 0.994104351),
        999: (0.02, 4.03582976538e-5, 157.407281, 0.0199999835, -3.91202383, -3.91202301, 1.28351487e-4, 0.989948678),
    }  # fmt: skip
    for t, expected in table.items():
        mine = (p.betas, p.alphas_cumprod, p.sqrt_recipm1_alphas_cumprod, p.posterior_variance,
                p.posterior_log_variance_clipped, p.log_betas, p.posterior_mean_coef1, p.posterior_mean_coef2)  # fmt: skip
        for a, b in zip(mine, expected):
            close(a[t], b)
    kept = space_timesteps(1000, "250")
    assert kept[:4] + kept[-3:] == [0, 4, 8, 12, 991, 995, 999]
    fifty = space_timesteps(1000, "50")
    assert fifty[:6] + fifty[-2:] == [0, 20, 41, 61, 82, 102, 979, 999]
    respaced = Process(linear_betas(), kept)
    for j, beta in ((0, 1e-4), (1, 5.990655645e-4), (249, 0.07751934500)):
        close(respaced.betas[j], beta, 9)
    embedding = timestep_embedding(torch.tensor([500.0], dtype=torch.float64))[0]
    for i, c, s in ((0, -0.883849, -0.467772), (1, 0.945943, 0.324334), (64, 0.283662, -0.958924), (127, 0.998557, 0.053705)):
        assert abs(embedding[i] - c) < 1e-6 and abs(embedding[128 + i] - s) < 1e-6
    row = position_table(1152, 16)[3 * 16 + 5]
    for offset, a, b in ((0, -0.958924, -0.991531), (288, 0.283662, 0.129871), (576, 0.141120, 0.233831), (864, -0.989992, -0.972277)):
        assert abs(row[offset] - a) < 1e-6 and abs(row[offset + 1] - b) < 1e-6


def to_diffusers(state, depth):
    """Official names to diffusers' (docs/numbers.md); every block gets its own copy of the embedders."""
    out = {}
    for kind in ("weight", "bias"):
        out[f"pos_embed.proj.{kind}"] = state[f"x_embedder.proj.{kind}"]
        out[f"proj_out_1.{kind}"] = state[f"final_layer.adaLN_modulation.1.{kind}"]
        out[f"proj_out_2.{kind}"] = state[f"final_layer.linear.{kind}"]
        for i in range(depth):
            mine, theirs = f"blocks.{i}", f"transformer_blocks.{i}"
            for part, value in zip("qkv", state[f"{mine}.attn.qkv.{kind}"].chunk(3)):
                out[f"{theirs}.attn1.to_{part}.{kind}"] = value
            for a, b in (("attn1.to_out.0", f"{mine}.attn.proj"), ("ff.net.0.proj", f"{mine}.mlp.fc1"),
                         ("ff.net.2", f"{mine}.mlp.fc2"), ("norm1.linear", f"{mine}.adaLN_modulation.1"),
                         ("norm1.emb.timestep_embedder.linear_1", "t_embedder.mlp.0"),
                         ("norm1.emb.timestep_embedder.linear_2", "t_embedder.mlp.2")):  # fmt: skip
                out[f"{theirs}.{a}.{kind}"] = state[f"{b}.{kind}"]
    for i in range(depth):
        key = f"transformer_blocks.{i}.norm1.emb.class_embedder.embedding_table.weight"
        out[key] = state["y_embedder.embedding_table.weight"]
    return out


@torch.no_grad()
def check_against_diffusers():
    """With norm_eps 1e-6 and frequencies over 128 the two must agree; what is left is diffusers' float32 embedding."""
    for case, (changes, t, y) in CASES.items():
        config = {**TINY, **changes, "block": "adaLN-Zero", "mlp_ratio": 4.0, "class_dropout_prob": 0.1}
        mine = DiT(**config).double().eval()
        random_weights(mine, torch.Generator().manual_seed(1))
        channels = config["in_channels"]
        theirs = DiTTransformer2DModel(
            num_attention_heads=config["num_heads"], attention_head_dim=config["hidden_size"] // config["num_heads"],
            in_channels=channels, out_channels=mine.out_channels, num_layers=config["depth"],
            sample_size=config["input_size"], patch_size=config["patch_size"],
            num_embeds_ada_norm=config["num_classes"], norm_eps=1e-6,
        ).double().eval()  # fmt: skip
        theirs.load_state_dict(to_diffusers(mine.state_dict(), config["depth"]))
        for block in theirs.transformer_blocks:
            block.norm1.emb.time_proj.downscale_freq_shift = 0
        x = torch.randn(len(t), channels, config["input_size"], config["input_size"], dtype=torch.float64)
        t, y = torch.tensor(t, dtype=torch.float64), torch.tensor(y) % config["num_classes"]
        a, b = mine(x, t, y), theirs(x, timestep=t, class_labels=y).sample
        error = ((a - b).norm() / a.norm()).item()
        print(f"{case:26} differs from diffusers by {error:.1e}")
        assert error < 3e-5, case


def check_dpm_solver():
    """A trajectory of DPM-Solver++(2M) beside diffusers', which computes in float32."""
    kept = space_timesteps(1000, "12")
    process = Process(linear_betas(), kept)
    theirs = DPMSolverMultistepScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule="linear", final_sigmas_type="zero")
    theirs.set_timesteps(timesteps=kept[::-1])
    generator = torch.Generator().manual_seed(3)
    other = torch.randn(2, 4, 4, 4, generator=generator, dtype=torch.float64)
    x = other.numpy()
    before = None
    for j in reversed(range(len(process))):
        eps = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        x, before = process.dpm_solver_sample(eps.numpy(), x, j, before)
        other = theirs.step(eps, kept[j], other).prev_sample
        error = np.linalg.norm(x - other.numpy()) / np.linalg.norm(x)
        assert error < 1e-5, (j, error)
    print(f"DPM-Solver++(2M)           differs from diffusers by {error:.1e}")


if __name__ == "__main__":
    check_parameter_counts()
    check_golden_numbers()
    check_dpm_solver()
    check_against_diffusers()
    print("all checks passed")
