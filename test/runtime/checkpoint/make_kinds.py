"""Writes fixtures/kinds.pt, kinds.safetensors and kinds.json: one tensor of every kind that torch.save and safetensors write,
with the values that PyTorch reads, or what it is where it has no such values.

    pip install -r test/golden/requirements.txt && python test/runtime/checkpoint/make_kinds.py
"""

import json
import pathlib
import warnings

import torch
from safetensors.torch import save_file

warnings.simplefilter("ignore")
OUT = pathlib.Path(__file__).parent / "fixtures"
base = torch.arange(12, dtype=torch.float32).reshape(3, 4) / 4 - 1
pairs = torch.complex(base, -2 * base)
with_attribute = torch.nn.Parameter(base.clone())
with_attribute.note = "mine"
tensor_attribute = base.clone()
tensor_attribute.note = "mine"
fresh = lambda: torch.complex(base, -2 * base)  # a storage is saved as one type only
read = {
    "negative": fresh().conj().imag, "negative_part": fresh().conj().imag[1:, ::2], "negative_view": torch._neg_view(base.clone()),
    "negative_whole": torch._neg_view(torch.tensor([3, -4], dtype=torch.int64)), "imaginary": fresh().imag, "real": fresh().real,
    "parameter": torch.nn.Parameter(base.clone()), "parameter_attribute": with_attribute, "tensor_attribute": tensor_attribute,
    "buffer": torch.nn.Buffer(base.clone()), "requires_grad": base.clone().requires_grad_(), "transposed": base.t(),
    "expanded": base[:, :1].expand(3, 5), "offset": base[1:, 2:], "strided": base.flatten()[::3], "as_strided": base.as_strided((2, 2), (1, 5), 1),
    "u16": torch.tensor([0, 65535], dtype=torch.uint16), "u32": torch.tensor([0, 2**24], dtype=torch.uint32),
    "u64": torch.tensor([0, 2**31], dtype=torch.uint64), "resolved": pairs.conj().imag.resolve_neg(),
}
unread = {
    "conjugate": (pairs.conj(), "complex64"), "complex": (pairs.to(torch.complex128), "complex128"),
    "coo": (base.to_sparse(), "a sparse tensor"), "csr": (base.to_sparse_csr(), "a sparse tensor"),
    "quantised": (torch.quantize_per_tensor(base, 0.1, 0, torch.qint8), "a quantised tensor"),
    "quantised_rows": (torch.quantize_per_channel(base, torch.ones(3), torch.zeros(3), 0, torch.quint8), "a quantised tensor"),
    "meta": (torch.empty(3, device="meta"), "a meta tensor, which has no values,"),
    "fp8": (base.to(torch.float8_e4m3fn), "float8_e4m3fn"), "fp8_wide": (base.to(torch.float8_e5m2), "float8_e5m2"),
    "negative_unsigned": (torch._neg_view(torch.tensor([3], dtype=torch.uint8)), "u8 with the negative bit"),
}
beside = {"dtype": torch.float32, "half": torch.float8_e4m3fn, "device": torch.device("cpu"), "size": base.shape}
torch.save({**read, **{name: tensor for name, (tensor, _) in unread.items()}, **beside}, OUT / "kinds.pt")
torch.serialization.set_crc32_options(False)
torch.save({"base": base}, OUT / "unchecked.pt")
torch.serialization.set_crc32_options(True)

save_file({"base": base, "fp8": base.to(torch.float8_e4m3fn), "wide": base.to(torch.float8_e5m2), "u32": read["u32"],
           "u16": read["u16"], "u64": read["u64"], "complex": pairs}, OUT / "kinds.safetensors")
(OUT / "kinds.safetensors").chmod(0o644)

as_list = lambda tensor: tensor.detach().to(torch.float64).reshape(-1).tolist()
kinds = {"read": {name: as_list(tensor) for name, tensor in read.items()}, "unread": {name: what for name, (_, what) in unread.items()}}
(OUT / "kinds.json").write_text(json.dumps(kinds) + "\n")
