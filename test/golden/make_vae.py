"""Writes data/vae-<case>.safetensors: tiny autoencoders of diffusers with random weights, their inputs and exact outputs.

Tensors: param.<diffusers' name>, input.image, input.latents, output.moments, output.image. Metadata "config": JSON with the
keys of models/vae.ts. Stored in float32; the outputs are computed in float64 from the stored values and rounded once.

No weight is zero, and replacing any tensor by zeros must change an output visibly.
"""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

DATA = Path(__file__).parent / "data"

# name: (configuration, batch). Sides that do not halve evenly lose a row or a column: what is padded is the right and the bottom.
CASES = {
    "four-levels": (dict(blockOutChannels=[4, 8, 8, 12], layersPerBlock=1, normNumGroups=2, sampleSize=[16, 16],
                         inChannels=3, latentChannels=4), 2),
    "wide-picture": (dict(blockOutChannels=[8, 12, 12], layersPerBlock=1, normNumGroups=4, sampleSize=[20, 28],
                          inChannels=3, latentChannels=3), 2),
    "odd-sides": (dict(blockOutChannels=[6, 10], layersPerBlock=2, normNumGroups=2, sampleSize=[13, 11],
                       inChannels=1, latentChannels=2), 1),
    "one-level": (dict(blockOutChannels=[12], layersPerBlock=1, normNumGroups=3, sampleSize=[7, 9],
                       inChannels=4, latentChannels=1), 1),
}  # fmt: skip


def build(c):
    levels = len(c["blockOutChannels"])
    return AutoencoderKL(
        in_channels=c["inChannels"], out_channels=c["inChannels"], latent_channels=c["latentChannels"],
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=tuple(c["blockOutChannels"]), layers_per_block=c["layersPerBlock"],
        norm_num_groups=c["normNumGroups"], sample_size=c["sampleSize"][0])  # fmt: skip


def random_weights(model, generator):
    """Gaussian weights of gain about 1, more for queries and keys, so that attention is far from uniform."""
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        if name.endswith("bias"):
            value = 0.3 * noise
        elif p.dim() == 1:
            value = 1 + 0.3 * noise
        else:
            value = noise * p[0].numel() ** -0.5 * (2 if "to_q" in name or "to_k" in name else 1)
        p.data.copy_(value.float())  # rounded to float32, as the file will hold it


def assert_every_weight_matters(model, run, outputs):
    for name, p in model.named_parameters():
        if name.endswith("to_k.bias"):
            continue  # softmax does not see a constant added to every key's score
        saved = p.clone()
        p.zero_()
        change = max(((b - a).norm() / a.norm()).item() for a, b in zip(outputs, run()))
        p.copy_(saved)
        assert change > 1e-3, (name, change)


@torch.no_grad()
def make(case, config, batch):
    generator = torch.Generator().manual_seed(sum(case.encode()))
    model = build(config).double().eval().requires_grad_(False)
    random_weights(model, generator)
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64).float()
    image = normal(batch, config["inChannels"], *config["sampleSize"])
    halvings = len(config["blockOutChannels"]) - 1
    latents = normal(batch, config["latentChannels"], *(side >> halvings for side in config["sampleSize"]))

    def run(dtype=torch.float64):
        return [model.encode(image.to(dtype)).latent_dist.parameters, model.decode(latents.to(dtype)).sample]

    outputs = run()
    assert_every_weight_matters(model, run, outputs)
    tensors = {f"param.{k}": v.float().contiguous() for k, v in model.state_dict().items()}
    tensors |= {"input.image": image, "input.latents": latents}
    tensors |= {f"output.{k}": v.float().contiguous() for k, v in zip(["moments", "image"], outputs)}
    path = DATA / f"vae-{case}.safetensors"
    save_file(tensors, path, metadata={"config": json.dumps(config)})

    model.float()  # what float32 loses, for the record
    errors = [((b.double() - a).norm() / a.norm()).item() for a, b in zip(outputs, run(torch.float32))]
    print(f"{path.name:34} {path.stat().st_size / 1024:6.0f} KB  f32 errors {errors[0]:.1e} {errors[1]:.1e}")


if __name__ == "__main__":
    for case, arguments in CASES.items():
        make(case, *arguments)
