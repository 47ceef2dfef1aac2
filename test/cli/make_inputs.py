"""Writes fixtures/inputs.npz and inputs.json for test/cli/inputs.test.ts: arrays of every type that NumPy has, whether they
fit an input, and, where the command advises a line of Python, what NumPy makes of that very line.

    pip install -r test/golden/requirements.txt && python test/cli/make_inputs.py
"""

import json
from pathlib import Path

import numpy

OUT = Path(__file__).parent / "fixtures"
TYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "?"]
VALUES = [[0, 1, 1], [1, 0, 1]]
arrays, cases = {}, []


def fits(name, array, **inputs):
    """`inputs`: what an input of each dtype is to hold."""
    arrays[name] = array
    cases.append({"array": name, "shape": list(array.shape), "fits": inputs})


def advised(name, array, dtype, fix):
    """The array does not fit; after the advice it does."""
    fixed = eval(fix, {"numpy": numpy, "array": array})
    arrays[name], arrays[f"{name}_fixed"] = array, fixed
    cases.append({"array": name, "shape": list(fixed.shape), "dtype": dtype, "fix": fix, "fixed": fixed.astype("f8").ravel().tolist()})


for code in TYPES:
    for order in "<>":
        for layout in "CF":
            array = numpy.array(VALUES, order + code, order=layout)
            held = numpy.ravel(VALUES).tolist()
            name = f"{array.dtype.name}_{'little' if order == '<' else 'big'}_{layout}"
            fits(name, array, f32=held, f16=held, i32=held, u32=held, bool=held)
top = numpy.array([2**32 - 1, 2**31, 7], "u4")
fits("u4_top", top, u32=top.tolist())
fits("u8_top", top.astype("u8"), u32=top.tolist())
fits("f8_top", top.astype(">f8"), u32=top.tolist())
fits("f8_fraction", numpy.array([0.1, -2.5, 1e-3]), f32=numpy.float32([0.1, -2.5, 1e-3]).astype("f8").tolist())
fits("f4_infinite", numpy.array([numpy.inf, -numpy.inf, 0], "f4"), f32=["Infinity", "-Infinity", 0])
advised("fraction", numpy.array([0.2, 1.7, -3.0]), "i32", "numpy.rint(array).astype(numpy.int32)")
advised("fraction_u", numpy.array([0.2, 1.7, 4e9], "f8"), "u32", "numpy.rint(array).astype(numpy.uint32)")
advised("flat", numpy.arange(6, dtype="i2"), "i32", "array.reshape((2, 3))")
advised("scalar", numpy.array(4, "u1"), "i32", "array.reshape((1,))")
advised("long", numpy.array([1.5, 2.25], numpy.longdouble), "f32", "array.astype(numpy.float64)")
advised("text", numpy.array(["1.5", "2"]), "f32", "array.astype(numpy.float64)")
advised("days", numpy.array(["1970-01-05", "1970-01-02"], "M8[D]"), "f32", "array.astype(numpy.float64)")

OUT.mkdir(exist_ok=True)
numpy.savez_compressed(OUT / "inputs.npz", **arrays)
(OUT / "inputs.json").write_text(json.dumps(cases))
