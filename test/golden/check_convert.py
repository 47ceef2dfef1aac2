"""Loads what `ditc convert` wrote with torch, safetensors and diffusers, and compares it, bit by bit; by hand, it writes nothing.

    python test/golden/check_convert.py OFFICIAL.pt [CONVERTED ...]

OFFICIAL.pt has the authors' names. CONVERTED are .pt and .safetensors files of the same tensors, or folders of diffusers.
"""

import pathlib
import sys

import torch
from diffusers import DiTTransformer2DModel
from safetensors.torch import load_file


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8))


def from_diffusers(folder):
    """The authors' state dict from what diffusers loads, without the positions."""
    model = DiTTransformer2DModel.from_pretrained(folder)
    d = model.state_dict()
    out = {}
    emb = "transformer_blocks.0.norm1.emb."
    layers = {
        "x_embedder.proj": ["pos_embed.proj"],
        "t_embedder.mlp.0": [emb + "timestep_embedder.linear_1"],
        "t_embedder.mlp.2": [emb + "timestep_embedder.linear_2"],
        "y_embedder.embedding_table": [emb + "class_embedder.embedding_table"],
        "final_layer.adaLN_modulation.1": ["proj_out_1"],
        "final_layer.linear": ["proj_out_2"],
    }
    for i in range(model.config.num_layers):
        a, b = f"blocks.{i}.", f"transformer_blocks.{i}."
        layers[a + "attn.qkv"] = [b + f"attn1.to_{x}" for x in "qkv"]
        layers[a + "attn.proj"] = [b + "attn1.to_out.0"]
        layers[a + "mlp.fc1"] = [b + "ff.net.0.proj"]
        layers[a + "mlp.fc2"] = [b + "ff.net.2"]
        layers[a + "adaLN_modulation.1"] = [b + "norm1.linear"]
    for name, parts in layers.items():
        for kind in ("weight", "bias"):
            if f"{parts[0]}.{kind}" in d:
                out[f"{name}.{kind}"] = torch.cat([d[f"{part}.{kind}"] for part in parts])
    for name, tensor in d.items():
        if ".norm1.emb." in name:
            assert same(tensor, d[emb + name.split(".emb.")[1]]), name
    return out


official = torch.load(sys.argv[1], weights_only=True, mmap=True)
for path in map(pathlib.Path, sys.argv[2:]):
    if path.is_dir():
        found, left = from_diffusers(path), {"pos_embed"}
    else:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True, mmap=True)
        left = set()
    assert set(official) - set(found) == left and not set(found) - set(official), set(official) ^ set(found)
    wrong = [name for name in found if not same(found[name], official[name])]
    print(path, "differs in " + ", ".join(wrong[:5]) if wrong else f"all {len(found)} tensors are the same, bit by bit")
    if wrong:
        sys.exit(1)
