"""Writes data/checkpoints/: one small DiT in every form in which people have checkpoints, by torch, safetensors and diffusers.

    python test/golden/make_checkpoints.py

The weights are those of diffusers' DiTTransformer2DModel, drawn at random; the authors' names for them come from the table of the
project's DiT notes (2.4). forward.safetensors has what diffusers computes with them, in float64.
"""

import collections
import json
import pathlib
import shutil

import torch
from diffusers import DiTTransformer2DModel
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "data" / "checkpoints"
CONFIG = dict(inputSize=8, patchSize=2, inChannels=4, hiddenSize=8, depth=2, numHeads=2, numClasses=3)


def make(seed):
    torch.manual_seed(seed)
    model = DiTTransformer2DModel(
        num_attention_heads=CONFIG["numHeads"],
        attention_head_dim=CONFIG["hiddenSize"] // CONFIG["numHeads"],
        in_channels=CONFIG["inChannels"],
        out_channels=2 * CONFIG["inChannels"],
        num_layers=CONFIG["depth"],
        sample_size=CONFIG["inputSize"],
        patch_size=CONFIG["patchSize"],
        num_embeds_ada_norm=CONFIG["numClasses"],
    )
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p) * 0.3)
        first = model.transformer_blocks[0].norm1.emb.state_dict()
        for block in model.transformer_blocks[1:]:
            block.norm1.emb.load_state_dict(first)
    return model.eval()


def authors_names(model):
    """The state dict as the authors' code would have it."""
    d = model.state_dict()
    out = collections.OrderedDict()
    out["pos_embed"] = model.pos_embed.pos_embed.float()
    emb = "transformer_blocks.0.norm1.emb."
    layers = {
        "x_embedder.proj": ["pos_embed.proj"],
        "t_embedder.mlp.0": [emb + "timestep_embedder.linear_1"],
        "t_embedder.mlp.2": [emb + "timestep_embedder.linear_2"],
        "y_embedder.embedding_table": [emb + "class_embedder.embedding_table"],
    }
    for i in range(CONFIG["depth"]):
        a, b = f"blocks.{i}.", f"transformer_blocks.{i}."
        layers[a + "attn.qkv"] = [b + f"attn1.to_{x}" for x in "qkv"]
        layers[a + "attn.proj"] = [b + "attn1.to_out.0"]
        layers[a + "mlp.fc1"] = [b + "ff.net.0.proj"]
        layers[a + "mlp.fc2"] = [b + "ff.net.2"]
        layers[a + "adaLN_modulation.1"] = [b + "norm1.linear"]
    layers["final_layer.adaLN_modulation.1"] = ["proj_out_1"]
    layers["final_layer.linear"] = ["proj_out_2"]
    for name, parts in layers.items():
        for kind in ("weight", "bias"):
            if f"{parts[0]}.{kind}" in d:
                out[f"{name}.{kind}"] = torch.cat([d[f"{part}.{kind}"] for part in parts])
    return out


shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir(parents=True)
model = make(0)
model.save_pretrained(OUT / "diffusers")
model.save_pretrained(OUT / "diffusers-sharded", max_shard_size="16KB")
names = authors_names(model)
torch.save(names, OUT / "official.pt")
torch.save(names, OUT / "legacy.pt", _use_new_zipfile_serialization=False)
save_file(names, OUT / "official.safetensors")

# What surrounds weights in the wild: wrappers' prefixes, an average beside them, views, a type that nothing uses.
wrapped = {f"module._orig_mod.{name}": tensor for name, tensor in names.items()}
wrapped["module._orig_mod.steps"] = torch.tensor(7)
torch.save({"model": names, "ema": wrapped, "args": None}, OUT / "wrapped.pt")
transposed = {name: t.t().contiguous().t() if t.dim() == 2 else t for name, t in names.items()}
torch.save(transposed, OUT / "strided.pt")
save_file({**names, "scale": torch.ones(3).to(torch.float8_e4m3fn), "none": torch.zeros(0, 4)}, OUT / "float8.safetensors")
for dtype, short in ((torch.float16, "f16"), (torch.bfloat16, "bf16"), (torch.float64, "f64")):
    save_file({name: tensor.to(dtype) for name, tensor in names.items()}, OUT / f"{short}.safetensors")

# Copies that went apart, as fine-tuning in diffusers lets them.
apart = dict(model.state_dict())
name = "transformer_blocks.1.norm1.emb.timestep_embedder.linear_1.weight"
apart[name] = apart[name] + 1e-3
save_file(apart, OUT / "apart.safetensors")

n = 3
x = torch.randn(n, CONFIG["inChannels"], CONFIG["inputSize"], CONFIG["inputSize"])
t = torch.tensor([0, 417, 999])
y = torch.tensor([0, CONFIG["numClasses"], 2])
with torch.no_grad():
    out = model.double()(x.double(), t, y).sample
tensors = {"input.x": x, "input.t": t.float(), "input.y": y.int(), "output.out": out.float()}
save_file(tensors, OUT / "forward.safetensors", metadata={"config": json.dumps(CONFIG)})
# Positions on a grid of 4×4 at other resolutions, as timm resamples them.
grid = torch.randn(1, 8, 4, 4, dtype=torch.float64)
resampled = {"input.grid": grid.permute(0, 2, 3, 1).reshape(1, 16, 8).float()}
for side in (3, 6, 16):
    made = torch.nn.functional.interpolate(grid.float().double(), size=(side, side), mode="bicubic", antialias=True, align_corners=False)
    resampled[f"output.{side}"] = made.permute(0, 2, 3, 1).reshape(1, side * side, 8).float()
save_file({name: tensor.contiguous() for name, tensor in resampled.items()}, OUT / "grid.safetensors", metadata={"config": "{}"})
for path in OUT.rglob("*"):
    path.chmod(0o755 if path.is_dir() else 0o644)
print(sum(f.stat().st_size for f in OUT.rglob("*")), "bytes")
