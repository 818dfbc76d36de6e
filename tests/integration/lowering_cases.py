"""Lower or spell one operator at a time, inside the reference environment, and run both files: prints what differs."""

import json
import sys

import numpy
import onnx
import onnx.inliner
import onnx.shape_inference
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from converter.rewriting.lowering import lower
from converter.rewriting.nodes import CannotRewrite
from converter.rewriting.spelling import spell

onnxruntime.set_default_logger_severity(4)
INT = numpy.int64


def model(opset, nodes, inputs, constants=(), outputs=("y",)):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(numpy.asarray(value), name) for name, value in dict(constants).items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])


def one(operator, opset, shape=(2, 3, 4, 5), constants=(), inputs=None, outputs=("y",), **attributes):
    names = ["x", *dict(constants)] if inputs is None else inputs
    node = helper.make_node(operator, names, list(outputs), **attributes)
    return model(opset, [node], {"x": shape}, constants, outputs)


# {name: (model, the opset to lower it to)}
CASES = {
    "squeeze": (one("Squeeze", 13, (2, 1, 3, 1), {"a": INT([1, 3])}), 12),
    "squeeze all": (one("Squeeze", 13, (2, 1, 3, 1)), 11),
    "unsqueeze": (one("Unsqueeze", 13, (2, 3), {"a": INT([0, 3])}), 9),
    "sum": (one("ReduceSum", 13, constants={"a": INT([-1])}), 11),
    "mean": (one("ReduceMean", 18, constants={"a": INT([2, 3])}, keepdims=0), 13),
    "mean of nothing": (one("ReduceMean", 18, constants={"a": INT([])}, noop_with_empty_axes=1), 11),
    "maximum of all": (one("ReduceMax", 18), 12),
    "split": (one("Split", 13, (2, 6), {"s": INT([2, 4])}, outputs=("y", "z"), axis=1), 12),
    "split evenly": (one("Split", 18, (2, 6), outputs=("y", "z"), axis=1, num_outputs=2), 11),
    "clip": (one("Clip", 13, constants={"l": numpy.float32(-0.5), "h": numpy.float32(0.25)}), 9),
    "dropout": (one("Dropout", 13, constants={"r": numpy.float32(0.3)}), 9),
    "pad": (one("Pad", 18, (2, 3), {"p": INT([1, 0, 0, 2]), "v": numpy.float32(7)}), 10),
    "slice": (one("Slice", 13, (4, 6), {"s": INT([1, 2]), "e": INT([3, 2**62]), "a": INT([0, 1])}), 9),
    "softmax, last": (one("Softmax", 13), 9),
    "softmax, middle": (one("Softmax", 13, axis=1), 9),
    "logarithm of softmax": (one("LogSoftmax", 13, axis=-3), 11),
    "hard swish": (one("HardSwish", 14), 9),
    "mish": (one("Mish", 18), 9),
    "gelu": (one("Gelu", 20), 11),
    "at least": (
        model(16, [helper.make_node("GreaterOrEqual", ["x", "c"], ["y"])], {"x": (6,)}, {"c": numpy.zeros(6, "f")}),
        11,
    ),
    "layer": (
        one(
            *("LayerNormalization", 17, (2, 3, 4)),
            {"s": numpy.linspace(1, 2, 4, dtype="f"), "b": numpy.linspace(0, 1, 4, dtype="f")},
            axis=-1,
            epsilon=1e-3,
        ),
        11,
    ),
    "layer of two axes": (one("LayerNormalization", 17, (2, 3, 4), {"s": numpy.ones((3, 4), "f")}, axis=1), 9),
    "batch": (
        one("BatchNormalization", 15, (2, 3, 4), {n: numpy.asarray([1, 2, 3], "f") for n in "sbmv"}, training_mode=0),
        9,
    ),
    "reshape": (one("Reshape", 14, (2, 6), {"s": INT([3, 4])}, allowzero=1), 13),
    "resize to sizes": (
        one("Resize", 18, (1, 1, 2, 3), {"s": INT([1, 1, 4, 6])}, ["x", "", "", "s"], mode="nearest"),
        11,
    ),
    "resize, asymmetric": (
        one(
            *("Resize", 13, (1, 1, 2, 3), {"s": numpy.asarray([1, 1, 2, 2], "f")}, ["x", "", "s"]),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        10,
    ),
    "pool": (one("MaxPool", 12, kernel_shape=[2, 2], ceil_mode=0, dilations=[1, 1]), 9),
    "part of a shape": (
        model(
            15,
            [helper.make_node("Shape", ["x"], ["n"], start=1, end=3), helper.make_node("Cast", ["n"], ["y"], to=1)],
            {"x": (2, 3, 4)},
        ),
        11,
    ),
    "in a branch": (
        model(
            13,
            [
                helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
                helper.make_node("Greater", ["m", "zero"], ["up"]),
                helper.make_node(
                    *("If", ["up"], ["y"]),
                    then_branch=helper.make_graph(
                        [helper.make_node("Unsqueeze", ["x", "a"], ["t"])],
                        "t",
                        [],
                        [helper.make_empty_tensor_value_info("t")],
                    ),
                    else_branch=helper.make_graph(
                        [helper.make_node("Unsqueeze", ["x", "a"], ["e"])],
                        "e",
                        [],
                        [helper.make_empty_tensor_value_info("e")],
                    ),
                ),
            ],
            {"x": (2, 3)},
            {"zero": numpy.float32(0), "a": INT([0])},
        ),
        11,
    ),
}

# What has no older counterpart is refused by name.
REFUSED = {
    "STFT": (
        model(
            17,
            [helper.make_node("STFT", ["x", "s", "", "l"], ["y"])],
            {"x": (1, 64, 1)},
            {"s": INT(8), "l": INT(16)},
        ),
        16,
    ),
    "Einsum": (one("Einsum", 12, (2, 2), equation="ij->ji"), 11),
    "computed": (
        model(
            13,
            [helper.make_node("Shape", ["x"], ["n"]), helper.make_node("Squeeze", ["x", "n"], ["y"])],
            {"x": (1,)},
        ),
        11,
    ),
    "allowzero": (one("Reshape", 14, (0, 6), {"s": INT([0, 3])}, allowzero=1), 13),
}


RANDOM = numpy.random.RandomState(1)


def drawn(*shape):
    return RANDOM.uniform(-1, 1, shape).astype("f")


def gru(opset, direction, start):
    ways = 2 if direction == "bidirectional" else 1
    weights = {"W": drawn(ways, 15, 4), "R": drawn(ways, 15, 5), "B": drawn(ways, 30)}
    names = ["x", *weights, *(["", "h"] if start else [])]
    node = helper.make_node("GRU", names, ["y", "z"], hidden_size=5, linear_before_reset=1, direction=direction)
    inputs = {"x": (7, 2, 4), **({"h": (ways, 2, 5)} if start else {})}
    return model(opset, [node], inputs, weights, ("y", "z"))


def quantised(fused):
    """A convolution between quantised tensors, as one operator or between conversions."""
    tensors = {
        **{"xs": numpy.float32(0.02), "xz": numpy.uint8(120)},
        **{"w": RANDOM.randint(-90, 90, (4, 3, 2, 2)).astype("int8"), "ws": drawn(4) ** 2 + numpy.float32(0.01)},
        **{"wz": numpy.zeros(4, "int8"), "ys": numpy.float32(0.3), "yz": numpy.uint8(100)},
        "b": RANDOM.randint(-500, 500, 4).astype("int32"),
    }
    before = helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"])
    after = helper.make_node("DequantizeLinear", ["r", "ys", "yz"], ["y"])
    if fused:
        inner = [helper.make_node("QLinearConv", ["q", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["r"])]
    else:
        inner = [
            helper.make_node("DequantizeLinear", ["q", "xs", "xz"], ["one"]),
            helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["two"], axis=0),
            helper.make_node("Conv", ["one", "two"], ["c"]),
            helper.make_node("QuantizeLinear", ["c", "ys", "yz"], ["r"]),
        ]
    return model(13, [before, *inner, after], {"x": (1, 3, 5, 6)}, tensors)


def dynamically():
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("MatMulInteger", ["q", "w", "z"], ["i"]),
        helper.make_node("Cast", ["i"], ["r"], to=1),
        helper.make_node("Mul", ["r", "s"], ["y"]),
    ]
    return model(13, nodes, {"x": (3, 8)}, {"w": RANDOM.randint(-90, 90, (8, 5)).astype("int8")})


def transformed(kind):
    nodes = [
        helper.make_node("Cast", ["x"], ["d"], to=11 if kind == "float64" else 1),
        helper.make_node("STFT", ["d", "s", "w"], ["f"]),
        helper.make_node("Cast", ["f"], ["y"], to=1),
    ]
    return model(17, nodes, {"x": (2, 64, 1)}, {"s": INT(8), "w": numpy.hanning(16).astype(kind)})


# {name: model}
SPELLED = {
    **{
        f"GRU {opset} {way} {start}": gru(opset, way, start)
        for opset in (9, 14)
        for way in ("forward", "reverse", "bidirectional")
        for start in (False, True)
    },
    "negative padding": one("Pad", 13, (4, 6), {"p": INT([-1, 2, 0, -3])}),
    "negative padding only": one("Pad", 11, (4, 6), {"p": INT([0, -2, -1, 0])}),
    "wide padding": one("Pad", 13, (2, 3, 5), {"p": INT([0, 3, 0, 0, 2, 4]), "v": numpy.float32(7)}),
    "wide padding by reflection": one("Pad", 13, (2, 5, 6), {"p": INT([0, 3, 0, 0, 2, 4])}, mode="reflect"),
    "wide padding of edges": one("Pad", 11, (2, 5), {"p": INT([0, 3, 0, 2])}, mode="edge"),
    "slice of axes in any order": one(
        *("Slice", 13, (4, 5, 6), {"s": INT([1, -4, 0]), "e": INT([3, 2**31 - 1, -1]), "a": INT([2, 0, -2])})
    ),
    "quantised convolution": quantised(True),
    "convolution between conversions": quantised(False),
    "quantised by range": dynamically(),
    "spectrum": transformed("float32"),
    "spectrum of doubles": transformed("float64"),
}


def outputs(file):
    session = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    state = numpy.random.RandomState(0)
    feed = {item.name: state.uniform(-2, 2, item.shape).astype("f") for item in session.get_inputs()}
    return session.run(None, feed)


def problem(file, target):
    expected = outputs(file)
    lowered = lower(onnx, onnx.ModelProto.FromString(file.SerializeToString()), target)
    if lowered.opset_import[0].version != target:
        return f"still of opset {lowered.opset_import[0].version}"
    found = outputs(lowered)
    if not all(
        numpy.allclose(one, two, 1e-5, 1e-6) and one.shape == two.shape
        for one, two in zip(expected, found, strict=True)
    ):
        return "computes something else"
    return None


def misspelled(file):
    spelled, count = spell(onnx, onnx.ModelProto.FromString(file.SerializeToString()))
    onnx.checker.check_model(spelled)
    if not count:
        return "nothing was spelled otherwise"
    expected, found = outputs(file), outputs(spelled)
    if not all(
        numpy.allclose(one, two, 1e-4, 1e-4) and one.shape == two.shape
        for one, two in zip(expected, found, strict=True)
    ):
        return "computes something else"
    return None


def told(file, target):
    try:
        lower(onnx, file, target)
    except CannotRewrite as refusal:
        return str(refusal)
    return ""


found = {}
for name, (file, target) in CASES.items():
    try:
        found[name] = problem(file, target)
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"
for name, file in SPELLED.items():
    try:
        found[name] = misspelled(file)
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"
json.dump({"wrong": {name: said for name, said in found.items() if said}, "cases": len(found),
           "refused": {name: told(*case) for name, case in REFUSED.items()}}, sys.stdout)  # fmt: skip
