"""Writes the fixtures of test/runtime/checkpoint with the real libraries; run once, the results are committed.

    python test/runtime/checkpoint/make_fixtures.py

Written with torch 2.13.0, numpy 2.4.6, safetensors 0.8.0. Beside the files goes expected.json:
{file: {part or "root": {tensor: {"dtype", "shape", "values"}}}}, with the values as those libraries read them back.
"""

import argparse
import collections
import json
import pathlib
import pickle
import sys
import zipfile

import numpy as np
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "fixtures"
OUT.mkdir(exist_ok=True)
NAMES = {
    torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16", torch.float64: "f64", torch.int64: "i64",
    torch.int32: "i32", torch.int16: "i16", torch.int8: "i8", torch.uint8: "u8", torch.bool: "bool",
}
expected = {}


def describe(tensors):
    return {
        k: {"dtype": NAMES[v.dtype], "shape": list(v.shape), "values": v.detach().float().reshape(-1).tolist()}
        for k, v in tensors.items() if isinstance(v, torch.Tensor) and isinstance(k, str)
    }


def save(name, obj, parts, **kw):
    path = OUT / name
    torch.save(obj, path, **kw)
    back = torch.load(path, weights_only=False)
    expected[name] = {part: describe(back if part == "root" else back[part]) for part in parts}


def ramp(*shape, scale=0.25):
    n = int(np.prod(shape)) if shape else 1
    return (torch.arange(n, dtype=torch.float32) * scale - 1).reshape(shape)


class Tiny(torch.nn.Module):
    def __init__(self, shift):
        super().__init__()
        self.pos_embed = torch.nn.Parameter(ramp(1, 2, 4) + shift, requires_grad=False)
        self.fc = torch.nn.Linear(4, 3)
        with torch.no_grad():
            self.fc.weight.copy_(ramp(3, 4) + shift)
            self.fc.bias.copy_(ramp(3) + shift)
        self.register_buffer("steps", torch.tensor(7 + shift, dtype=torch.int64))

    def forward(self, x):
        return self.fc(x)


# As the official files are: a state dict at the root.
model, ema = Tiny(0), Tiny(100)
save("root.pt", model.state_dict(), ["root"])

# As train.py saves: with an optimiser that has state, and argparse's Namespace.
opt = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
model(torch.ones(2, 4)).sum().backward()
opt.step()
args = argparse.Namespace(data_path="/data", model="DiT-XL/2", lr=1e-4, epochs=1400, ema=True, none=None)
train = {"model": model.state_dict(), "ema": ema.state_dict(), "opt": opt.state_dict(), "args": args, "step": 50}
save("train.pt", train, ["model", "ema"])
for protocol in (3, 4, 5):
    save(f"protocol{protocol}.pt", train, ["model", "ema"], pickle_protocol=protocol)
save("state_dict.pt", {"state_dict": model.state_dict(), "epoch": 3}, ["state_dict"])

save("dtypes.pt", {
    "f32": ramp(5), "f16": ramp(7).half(), "bf16": (ramp(6) * 3.3).bfloat16(), "f64": ramp(2, 2).double() / 3,
    "i64": torch.tensor([-3, 0, 2**31 - 1]), "i32": torch.arange(4, dtype=torch.int32) - 2,
    "i16": torch.tensor([-32768, 32767], dtype=torch.int16), "i8": torch.tensor([-128, 127], dtype=torch.int8),
    "u8": torch.tensor([0, 255], dtype=torch.uint8), "bool": torch.tensor([True, False, True]),
    "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "parameter": torch.nn.Parameter(ramp(2, 3)),
    "f16_special": torch.tensor([65504.0, 6e-8, -0.0, 6.1e-5], dtype=torch.float16),
}, ["root"])

# Views: one storage, several tensors, offsets and strides.
base = ramp(6, 8)
save("views.pt", {
    "base": base, "transposed": base.t(), "rows": base[2:5], "columns": base[:, 3:6], "every_other": base[::2, 1::3],
    "element": base[4, 5], "permuted": base.reshape(2, 3, 8).permute(2, 0, 1), "expanded": base[1:2].expand(3, 8),
    "flat_tail": base.reshape(-1)[40:], "channels_last": ramp(2, 3, 2, 2).to(memory_format=torch.channels_last),
}, ["root"])

save("odd.pt", {
    "w": ramp(3), "size": ramp(2, 3).size(), "device": torch.device("cuda:1"), "dtype_name": "float32",
    "nested": {"deep": [1, (2, {"x": None})]}, "big": 2**100, "negative": -(2**40), "bytes_free": True, 5: ramp(1),
    "ordered": collections.OrderedDict(a=1), "empty_set": None, "text": "naïve ☃ 𝕏",
}, ["root"])
torch.save({"w": ramp(3)}, OUT / "legacy.pt", _use_new_zipfile_serialization=False)


class Evil:
    def __reduce__(self):
        import os
        return os.system, ("echo pwned > /tmp/ditc-pwned",)


torch.save({"w": ramp(3), "x": Evil()}, OUT / "evil.pt")
torch.save({"w": ramp(3), "lr": np.float64(0.1)}, OUT / "numpy_scalar.pt")
torch.jit.script(Tiny(0)).save(str(OUT / "script.pt"))

# The same content in other ZIP forms: ZIP64 fields on every entry, and compressed.
with zipfile.ZipFile(OUT / "views.pt") as z:
    entries = [(i.filename, z.read(i)) for i in z.infolist()]
for name, method in (("deflated.pt", zipfile.ZIP_DEFLATED), ("zip64.pt", zipfile.ZIP_STORED)):
    if name == "zip64.pt":
        zipfile.ZIP64_LIMIT = 0  # every size, offset and the end record in 64 bits, as in a file beyond 4 GiB
    with zipfile.ZipFile(OUT / name, "w", method) as z:
        for filename, data in entries:
            info = zipfile.ZipInfo(filename)
            info.compress_type = method
            with z.open(info, "w", force_zip64=name == "zip64.pt") as f:
                f.write(data)
    expected[name] = expected["views.pt"]

tensors = {
    "a.f32": ramp(2, 3), "b.f16": ramp(5).half(), "c.bf16": ramp(3).bfloat16(), "d.f64": ramp(2).double(),
    "e.i64": torch.tensor([[1, -2]]), "f.i32": torch.arange(3, dtype=torch.int32), "g.u8": torch.tensor([1, 2, 255], dtype=torch.uint8),
    "h.bool": torch.tensor([True, False]), "i.scalar": torch.tensor(1.5), "j.empty": torch.zeros(2, 0),
    "k.i8": torch.tensor([-1, 5], dtype=torch.int8), "l.i16": torch.tensor([-300], dtype=torch.int16), "é\"\\": ramp(1),
}
save_file(tensors, OUT / "mixed.safetensors", metadata={"format": "pt", "note": "naïve \"x\""})
expected["mixed.safetensors"] = {"root": describe(tensors)}

rng = np.random.default_rng(0)
arrays = {
    "f4": rng.standard_normal((2, 3)).astype("<f4"), "f8": rng.standard_normal(4), "f2": rng.standard_normal((3, 2)).astype("<f2"),
    "i4": np.arange(-3, 3, dtype="<i4").reshape(2, 3), "i8": np.array([2**40, -5]), "u1": np.array([0, 255], "u1"),
    "b1": np.array([True, False, True]), "scalar": np.array(2.5, "f4"), "empty": np.zeros((0, 4), "f4"),
    "fortran": np.asfortranarray(rng.standard_normal((2, 3, 4)).astype("f4")), "big_f4": np.arange(5, dtype=">f4"),
    "big_i8": np.array([1, -2, 3], dtype=">i8"), "i1": np.array([-1], "i1"), "i2": np.array([-300, 5], ">i2"),
    "big_fortran": np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3)),
}
for name, a in arrays.items():
    np.save(OUT / f"{name}.npy", a)
    expected[f"{name}.npy"] = {"shape": list(a.shape), "values": a.reshape(-1).astype("f8").tolist()}
for name, write in (("stored.npz", np.savez), ("deflated.npz", np.savez_compressed)):
    write(OUT / name, **{k: arrays[k] for k in ("f4", "fortran", "i8", "u1")})
np.save(OUT / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
np.save(OUT / "struct.npy", np.zeros(2, dtype=[("a", "f4"), ("b", "i4")]))

(OUT / "mixed.safetensors").chmod(0o644)
(OUT / "expected.json").write_text(json.dumps(expected, indent=None, separators=(",", ":")) + "\n")
print(sum(f.stat().st_size for f in OUT.iterdir()), "bytes", sys.version.split()[0], torch.__version__, pickle.DEFAULT_PROTOCOL)
