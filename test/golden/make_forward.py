"""Writes data/forward-<case>.safetensors: tiny DiTs with random weights, their inputs and their exact outputs.

Tensors: param.<official name>, input.x, input.t (f32), input.y (i32), output.out. Metadata "config": JSON with the keys
of models/dit.ts. Everything is stored in float32; the output is computed in float64 from the stored values and then
rounded once, so that it is exact.

No weight is zero, the zero-initialised ones included, and replacing any tensor by zeros must change the output
visibly: a path that the compiler forgets cannot go unnoticed.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from dit_reference import DiT, camel_case

DATA = Path(__file__).parent / "data"

TINY = dict(input_size=8, patch_size=2, in_channels=4, hidden_size=48, depth=2, num_heads=3, mlp_ratio=2.0,
            class_dropout_prob=0.1, num_classes=7, learn_sigma=True, block="adaLN-Zero")  # fmt: skip

# name: (changes to TINY, t, y). The batch is the length of t. Class 7 is TINY's null class.
CASES = {
    "odd-heads": (dict(mlp_ratio=4.0, depth=1), [999, 0], [7, 3]),
    "head-dim-72": (dict(hidden_size=72, num_heads=1, depth=1, mlp_ratio=1.0), [741, 12], [2, 7]),
    "head-dim-72x2-in-context": (
        dict(hidden_size=144, num_heads=2, depth=1, mlp_ratio=1.0, block="in-context"), [63, 480], [0, 7]),
    "patch-4": (dict(input_size=16, patch_size=4, hidden_size=32, num_heads=2), [500], [6]),
    "odd-tiles": (
        dict(input_size=10, hidden_size=60, num_heads=5, depth=1, mlp_ratio=2.5), [1, 333, 998], [5, 0, 7]),
    "no-sigma": (dict(hidden_size=40, num_heads=2, learn_sigma=False), [250, 750], [4, 2]),
    "pixels-3-channel": (
        dict(input_size=12, patch_size=3, in_channels=3, hidden_size=36, num_heads=3), [10, 600], [0, 6]),
    "unconditional": (
        dict(hidden_size=40, num_heads=4, num_classes=1, class_dropout_prob=0.0), [400, 40], [0, 0]),
    "fractional-t": (dict(hidden_size=32, num_heads=1), [0.25, 123.456, 998.75], [0, 7, 4]),
    "in-context": (dict(block="in-context"), [120, 880], [5, 7]),
    "cross-attention": (dict(block="cross-attention", depth=1), [120, 880], [5, 7]),
    "adaLN": (dict(block="adaLN", depth=1), [120, 880], [5, 7]),
}  # fmt: skip


def random_weights(model, generator):
    """Gaussian weights of gain about 1 (1.5 for queries and keys, so that attention is far from uniform)."""
    for name, p in model.named_parameters():
        if name == "pos_embed":
            continue
        noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        if name.endswith("bias"):
            gain = 0.3
        elif "embedding_table" in name:
            gain = 1.0
        else:
            gain = p[0].numel() ** -0.5 * (1.5 if "qkv" in name or ".q." in name or ".k." in name else 1)
        p.data.copy_((noise * gain).float())  # rounded to float32, as the file will hold it


@torch.no_grad()
def assert_every_weight_matters(model, inputs, out):
    for name, p in model.named_parameters():
        if name.endswith("cross.k.bias"):
            continue  # softmax does not see a constant added to every key's score
        saved = p.clone()
        p.zero_()
        change = ((model(*inputs) - out).norm() / out.norm()).item()
        p.copy_(saved)
        assert change > 1e-2, (name, change)


def make(case, changes, t, y):
    config = {**TINY, **changes}
    generator = torch.Generator().manual_seed(sum(case.encode()))
    model = DiT(**config).double().eval().requires_grad_(False)
    random_weights(model, generator)
    size = config["input_size"]
    x = torch.randn(len(t), config["in_channels"], size, size, generator=generator, dtype=torch.float64).float()
    t, y = torch.tensor(t, dtype=torch.float32), torch.tensor(y, dtype=torch.int32)
    inputs = (x.double(), t.double(), y)
    out = model(*inputs)
    assert_every_weight_matters(model, inputs, out)

    tensors = {f"param.{k}": v.float().contiguous() for k, v in model.state_dict().items()}
    tensors |= {"input.x": x, "input.t": t, "input.y": y, "output.out": out.float().contiguous()}
    path = DATA / f"forward-{case}.safetensors"
    save_file(tensors, path, metadata={"config": json.dumps(camel_case(config))})

    single = model.float()(x, t, y).double()  # what float32 loses, for the record
    error = ((single - out).norm() / out.norm()).item()
    print(f"{path.name:46} {path.stat().st_size / 1024:6.0f} KB  out rms {out.square().mean().sqrt():.2f}  f32 error {error:.1e}")


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    for case, arguments in CASES.items():
        make(case, *arguments)
