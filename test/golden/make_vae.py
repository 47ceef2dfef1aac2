"""Writes data/vae-<case>.safetensors: tiny autoencoders of diffusers with random weights, their inputs and exact outputs.

Tensors: param.<diffusers' name>, input.image, input.latents, output.moments, output.image. Metadata "config": JSON with the
keys of models/vae.ts. Stored in float32; the outputs are computed in float64 from the stored values and rounded once.

No weight is zero, and replacing any tensor by zeros must change an output visibly.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import Decoder
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
    # Attention in some levels, as the f16 of VQ-GAN and VA-VAE has it, with many latent channels.
    "attention": (dict(blockOutChannels=[4, 4, 6], layersPerBlock=2, normNumGroups=2, sampleSize=[12, 8], inChannels=3,
                       latentChannels=32, downBlockTypes=["DownEncoderBlock2D", "AttnDownEncoderBlock2D",
                                                          "AttnDownEncoderBlock2D"],
                       upBlockTypes=["AttnUpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"]), 2),
    # Sides that are not halved alike, and a decoder wider and deeper than the encoder.
    "strides": (dict(blockOutChannels=[4, 4, 6, 8], layersPerBlock=1, normNumGroups=2, sampleSize=[11, 13], inChannels=2,
                     latentChannels=3, strides=[2, [2, 1], [1, 2]], upBlockOutChannels=[4, 6, 6, 10],
                     layersPerUpBlock=2), 3),
}  # fmt: skip


def build(c):
    widths = c["blockOutChannels"]
    levels = len(widths)
    model = AutoencoderKL(
        in_channels=c["inChannels"], out_channels=c["inChannels"], latent_channels=c["latentChannels"],
        down_block_types=c.get("downBlockTypes", ["DownEncoderBlock2D"] * levels),
        up_block_types=c.get("upBlockTypes", ["UpDecoderBlock2D"] * levels),
        block_out_channels=widths, layers_per_block=c["layersPerBlock"],
        norm_num_groups=c["normNumGroups"], sample_size=c["sampleSize"][0])  # fmt: skip
    if "upBlockOutChannels" in c:
        model.decoder = Decoder(
            in_channels=c["latentChannels"], out_channels=c["inChannels"], block_out_channels=c["upBlockOutChannels"],
            up_block_types=["UpDecoderBlock2D"] * levels, layers_per_block=c["layersPerUpBlock"],
            norm_num_groups=c["normNumGroups"])  # fmt: skip
    for i, stride in enumerate(strides_of(c)):
        model.encoder.down_blocks[i].downsamplers[0] = Downsample(model.encoder.down_blocks[i].downsamplers[0], stride)
        up = model.decoder.up_blocks[levels - 2 - i]
        up.upsamplers[0] = Upsample(up.upsamplers[0], stride)
    return model


def strides_of(c):
    """[height, width] from each level to the next, from the picture inwards."""
    given = c.get("strides", [2] * (len(c["blockOutChannels"]) - 1))
    return [[s, s] if isinstance(s, int) else s for s in given]


class Downsample(torch.nn.Module):
    """Diffusers' by strides of its own: an axis that is halved is padded at its end, one that is not at both."""

    def __init__(self, old, stride):
        super().__init__()
        self.conv, self.stride = old.conv, stride

    def forward(self, x, *_):
        (top, bottom), (left, right) = [(0, 1) if s == 2 else (1, 1) for s in self.stride]
        padded = F.pad(x, (left, right, top, bottom))
        return F.conv2d(padded, self.conv.weight, self.conv.bias, stride=self.stride)


class Upsample(torch.nn.Module):
    def __init__(self, old, stride):
        super().__init__()
        self.conv, self.stride = old.conv, stride

    def forward(self, x, *_):
        return self.conv(x.repeat_interleave(self.stride[0], 2).repeat_interleave(self.stride[1], 3))


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
    sides = config["sampleSize"]
    for stride in strides_of(config):
        sides = [side // s for side, s in zip(sides, stride)]
    latents = normal(batch, config["latentChannels"], *sides)

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
