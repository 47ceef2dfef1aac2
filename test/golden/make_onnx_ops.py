"""Writes data/onnx/ops.safetensors: networks of one op, or a few, with the results of ONNX's own reference implementation.

For each case the bytes of its network (`<case>.model`), what it is given (`<case>.in.x`) and what it gives (`<case>.out.y`). Operands that
a network would have as weights or constants are in it.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.inliner import inline_local_functions
from onnx.reference import ReferenceEvaluator
from safetensors.numpy import save_file

DATA = Path(__file__).parent / "data" / "onnx"
rng = np.random.default_rng(5)
tensors: dict[str, np.ndarray] = {}


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


def put(name, model, x, outputs, found):
    model.ir_version = 8
    onnx.checker.check_model(model)
    tensors[f"{name}.model"] = np.frombuffer(model.SerializeToString(), np.uint8)
    tensors[f"{name}.in.x"] = x.astype(np.int32) if x.dtype == np.int64 else x
    found = found or ReferenceEvaluator(inline_local_functions(model)).run(None, {"x": x})
    for key, value in zip(outputs, found):
        value = np.asarray(value)
        tensors[f"{name}.out.{key}"] = np.ascontiguousarray(value.astype(np.float32 if value.dtype.kind == "f" else np.int32))


def case(name, op, x, *operands, version=20, outputs=("y",), first=0, found=None, **attributes):
    """`first`: how many operands stand before x."""
    names = [f"w{i}" if operand is not None else "" for i, operand in enumerate(operands)]
    inputs = [*names[:first], "x", *names[first:]]
    node = helper.make_node(op, inputs, outputs, name=f"the/{name}", **attributes)
    weights = [numpy_helper.from_array(operand, key) for key, operand in zip(names, operands) if operand is not None]
    whole(name, [node], x, weights, outputs, version, found=found)


def whole(name, nodes, x, weights=(), outputs=("y",), version=20, functions=(), found=None):
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info(key, TensorProto.UNDEFINED, None) for key in outputs],
        list(weights),
    )
    for value in graph.output:
        value.type.Clear()
        value.type.tensor_type.elem_type = TensorProto.FLOAT
        value.type.tensor_type.shape.SetInParent()  # told by nobody
    opsets = [helper.make_opsetid("", version), *[helper.make_opsetid(f.domain, 1) for f in functions[:1]]]
    put(name, helper.make_model(graph, opset_imports=opsets, functions=list(functions)), x, outputs, found)


def convolutions():
    case("conv-same-upper", "Conv", normal(2, 3, 8, 7), normal(4, 3, 3, 2), auto_pad="SAME_UPPER", strides=[2, 3])
    case("conv-same-lower", "Conv", normal(1, 2, 7, 8), normal(3, 2, 4, 2), normal(3), auto_pad="SAME_LOWER")
    case("conv-one-sided", "Conv", normal(2, 4, 6, 9), normal(6, 2, 3, 3), group=2, pads=[2, 0, 1, 3], dilations=[1, 2])
    case("conv-line", "Conv", normal(2, 3, 11), normal(4, 3, 4), normal(4), strides=[2], pads=[1, 2])
    case("transposed", "ConvTranspose", normal(1, 4, 4, 5), normal(4, 3, 3, 2), normal(3), strides=[3, 2], pads=[1, 0, 2, 1])
    case("transposed-shape", "ConvTranspose", normal(1, 2, 3, 3), normal(2, 2, 3, 3), strides=[3, 2], output_shape=[10, 8])
    case("transposed-dilated", "ConvTranspose", normal(2, 2, 5, 4), normal(2, 3, 2, 3), dilations=[2, 2], output_padding=[1, 0], strides=[2, 1])


def pools():
    x = normal(2, 3, 8, 7)
    case("max-ceil", "MaxPool", x, kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1, pads=[1, 0, 0, 1])
    case("max-dilated", "MaxPool", x, kernel_shape=[2, 3], dilations=[3, 2])
    case("mean-rim", "AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
    case("mean-ceil", "AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    case("mean-same", "AveragePool", x, kernel_shape=[4, 3], auto_pad="SAME_UPPER")
    case("mean-line", "AveragePool", normal(2, 3, 10), kernel_shape=[3], strides=[2], pads=[1, 0])


def norms():
    x = normal(2, 6, 4, 5)
    case("batch-norm", "BatchNormalization", x, normal(6), normal(6), normal(6), np.abs(normal(6)) + 0.1, epsilon=1e-3)
    case("layer-norm-axes", "LayerNormalization", x, normal(4, 5), normal(4, 5), axis=2, outputs=("y", "mean", "inverse"))
    case("group-norm", "GroupNormalization", x, normal(6), normal(6), num_groups=3, version=21)
    case("instance-norm", "InstanceNormalization", x, normal(6), normal(6))
    case("lrn", "LRN", normal(4, 4, 3, 2), size=4, alpha=0.3, beta=0.6, bias=1.5)
    case("lp-norm", "LpNormalization", np.abs(x), axis=1, p=1)
    # Before version 13 of two axes, which the reference implementation does not know.
    rows = np.exp(x.astype(np.float64)).reshape(12, 20)
    case("softmax-rows", "Softmax", x, axis=2, version=11, found=[(rows / rows.sum(1, keepdims=True)).reshape(x.shape)])
    case("softmax-axis", "Softmax", x, axis=1)
    case("log-softmax", "LogSoftmax", x, axis=-2)


def resizing():
    x = normal(1, 2, 5, 6)
    none = np.array([], np.float32)
    scales, sizes = np.array([1, 1, 1.6, 0.7], np.float32), ints(1, 2, 8, 4)
    for mode in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"):
        case(f"linear-{mode}", "Resize", x, None, scales, mode="linear", coordinate_transformation_mode=mode, first=0)
    case("cubic", "Resize", x, None, None, sizes, mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1)
    case("linear-smooth", "Resize", x, None, None, ints(1, 2, 3, 4), mode="linear", antialias=1)
    case("linear-far", "Resize", normal(1, 2, 25, 6), None, None, ints(1, 2, 3, 6), mode="linear", antialias=1)
    for mode in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
        case(f"nearest-{mode}", "Resize", x, None, scales, nearest_mode=mode, coordinate_transformation_mode="asymmetric")
    case("resize-axes", "Resize", x, None, None, ints(7, 9), axes=[3, 2], mode="linear")
    case("upsample-9", "Upsample", x, np.array([1, 1, 2, 3], np.float32), version=9)
    case("resize-11", "Resize", x, none, np.array([1, 1, 2, 2], np.float32), mode="linear", version=11)


def layout():
    x = normal(4, 5, 6)
    case("slice-back", "Slice", x, ints(-1, 4), ints(-10, 0), ints(0, 1), ints(-1, -2))
    case("slice-ends", "Slice", x, ints(1), ints(2**63 - 1), ints(-1), ints(2))
    case("slice-9", "Slice", x, starts=[1, -3], ends=[3, 100], axes=[0, 2], version=9)
    case("split-uneven", "Split", x, axis=1, num_outputs=2, outputs=("a", "b"))
    case("split-11", "Split", x, axis=2, split=[1, 5], version=11, outputs=("a", "b"))
    case("squeeze-11", "Squeeze", normal(1, 4, 1, 3), axes=[0, 2], version=11)
    case("unsqueeze-11", "Unsqueeze", x, axes=[0, 4], version=11)
    case("reshape-zero", "Reshape", x, ints(0, -1))
    case("expand", "Expand", normal(3, 1), ints(2, 1, 4))
    case("tile", "Tile", x, ints(1, 2, 3))
    case("pad-reflect", "Pad", x, ints(0, 2, 1, 0, 1, 3), mode="reflect")
    case("pad-edge", "Pad", x, ints(2, 1, 0, 1), None, ints(0, 2), mode="edge")
    case("pad-value", "Pad", x, ints(0, 1, 2, 1, 0, 2), np.float32(7))
    case("pad-2", "Pad", x, pads=[1, 0, 0, 0, 2, 0], value=0.5, version=2 + 5)
    case("depth-to-space", "DepthToSpace", normal(1, 12, 2, 3), blocksize=2, mode="CRD")
    case("space-to-depth", "SpaceToDepth", normal(1, 3, 4, 6), blocksize=2)


def arithmetic():
    x = normal(3, 4) * 2
    case("mod", "Mod", x, normal(4), fmod=1)
    case("round", "Round", np.array([-2.5, -1.5, -0.4, 0.5, 1.5, 2.5], np.float32))
    case("power", "Pow", x, ints(3))
    case("clip-6", "Clip", x, min=-1.0, max=0.5, version=7)
    case("clip", "Clip", x, None, np.float32(0.25))
    case("celu", "Celu", x, alpha=0.7)
    case("selu", "Selu", x)
    case("mish", "Mish", x)
    case("gelu-tanh", "Gelu", x, approximate="tanh")
    case("gemm", "Gemm", normal(4, 3), normal(5, 4), normal(5), alpha=0.5, beta=2.0, transA=1, transB=1)
    case("einsum", "Einsum", normal(2, 3, 4), normal(5, 4, 3), equation="bij,cji->bc")
    case("einsum-batch", "Einsum", normal(2, 3, 4, 5), normal(3, 6, 5), equation="...ij,...kj->...ki")
    case("where", "Where", x, x > 0, normal(4), first=1)
    case("whole", "Div", rng.integers(-20, 20, (3, 4)), np.array([3, -4, 7, 2], np.int64))


def choices():
    x = normal(3, 5, 4)
    case("top-k", "TopK", x, ints(3), axis=1, largest=0, outputs=("y", "places"))
    case("arg-max-last", "ArgMax", np.round(x), axis=1, select_last_index=1)
    case("cumsum", "CumSum", x, np.array(1, np.int64), exclusive=1, reverse=1)
    case("gather-negative", "Gather", x, ints(-1, 0, 2).reshape(3, 1), axis=2)
    case("gather-elements", "GatherElements", x, rng.integers(-4, 4, (3, 5, 2)), axis=2)
    case("gather-run", "Gather", rng.integers(-6, 6, (2, 3)), normal(6, 5), first=1)
    case("gather-nd", "GatherND", x, ints(0, 4, 2, -1).reshape(2, 1, 2))
    case("scatter-nd", "ScatterND", x, ints(0, 4, 2, -1, 1, 1).reshape(3, 2), normal(3, 4))
    case("scatter-nd-add", "ScatterND", x, ints(2, 0, 2).reshape(3, 1), normal(3, 5, 4), reduction="add")
    case("scatter-elements", "ScatterElements", x, rng.permuted(np.tile(np.arange(5), (3, 4, 1)), axis=2).transpose(0, 2, 1)[:, :2], normal(3, 2, 4), axis=1)
    case("one-hot", "OneHot", rng.integers(0, 4, (2, 3)), np.array(4, np.int64), np.array([-1, 2], np.float32), axis=1)
    case("triangle", "Trilu", x, np.array(-1, np.int64), upper=0)
    case("log-sum-exp", "ReduceLogSumExp", x, ints(0, 2), keepdims=0)
    case("norm-13", "ReduceL2", x, axes=[1], version=13)
    case("product", "ReduceProd", x, ints(1))
    case("nothing", "ReduceSum", x, noop_with_empty_axes=1)


def attentions():
    q, k, v = normal(2, 4, 5, 8), normal(2, 2, 7, 8), normal(2, 2, 7, 6)
    case("attention", "Attention", q, k, v, normal(5, 7), version=23, softcap=2.0)
    case("attention-causal", "Attention", q, k, v, rng.random((2, 1, 5, 7)) > 0.4, version=23, is_causal=1, scale=0.2)
    rows = normal(2, 5, 12), normal(2, 7, 12), normal(2, 7, 12)
    case("attention-rows", "Attention", *rows, version=23, q_num_heads=3, kv_num_heads=3)


def several():
    x = normal(2, 3, 4)
    node = helper.make_node
    constant = lambda key, value: numpy_helper.from_array(value, key)
    # The last two axes as one, worked out from the shape.
    shape = [
        node("Shape", ["x"], ["s"]),
        node("Slice", ["s", "zero", "one"], ["lead"]),
        node("Gather", ["s", "last"], ["rest"]),
        node("ReduceProd", ["rest"], ["count"], keepdims=1),
        node("Concat", ["lead", "count"], ["shape"], axis=0),
        node("Reshape", ["x", "shape"], ["y"]),
    ]
    whole("shapes", shape, x, [constant("zero", ints(0)), constant("one", ints(1)), constant("last", ints(1, 2))])
    branch = lambda name, op: helper.make_graph([node(op, ["x"], [name])], name, [], [helper.make_tensor_value_info(name, 1, None)])
    rank = [node("Shape", ["x"], ["s"]), node("Size", ["s"], ["n"]), node("Equal", ["n", "three"], ["is3"])]
    choose = node("If", ["is3"], ["y"], then_branch=branch("a", "Neg"), else_branch=branch("b", "Abs"))
    whole("branch", [*rank, choose], x, [constant("three", np.array(3, np.int64))])
    body = [node("LeakyRelu", ["a"], ["b"]), node("Add", ["b", "w"], ["c"])]
    reference = onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    body[0].attribute.append(reference)
    function = helper.make_function("own", "Sloped", ["a", "w"], ["c"], body, [helper.make_opsetid("", 20)], ["slope"])
    calls = [node("Sloped", ["x", "w"], ["h"], domain="own", slope=0.25), node("Sloped", ["h", "w"], ["y"], domain="own", slope=-0.5)]
    whole("function", calls, x, [constant("w", normal(4))], functions=[function])
    kinds = [node("Cast", [key], [f"{key}_"], to=1) for key in ("f64", "f16", "i8", "u32", "flag")]
    sums = [node("Sum", ["x", *[f"{key}_" for key in ("f64", "f16", "i8", "u32", "flag")]], ["y"])]
    values = [
        constant("f64", normal(4).astype(np.float64)),
        constant("f16", normal(4).astype(np.float16)),
        helper.make_tensor("i8", TensorProto.INT8, [4], [-128, -1, 5, 127]),
        helper.make_tensor("u32", TensorProto.UINT32, [4], [0, 1, 2, 3000]),
        helper.make_tensor("flag", TensorProto.BOOL, [4], [True, False, True, False]),
    ]
    whole("kinds", [*kinds, *sums], x, values)


for cases in (convolutions, pools, norms, resizing, layout, arithmetic, choices, several, attentions):
    cases()
save_file(tensors, DATA / "ops.safetensors")
(DATA / "ops.safetensors").chmod(0o644)
print(sum(key.endswith(".model") for key in tensors), "cases")
