"""Mistakes that a converter can make between ONNX's conventions and TensorFlow's, for any model."""

import functools

import numpy
from onnx import TensorProto, helper
from onnx_editing import RECURRENT, WINDOWS, Faults

NORMALISATIONS = ("BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization")

FAULTS = Faults()


@FAULTS.also_once
def epsilon(g):
    """Keras' 1e-3 instead of 1e-5, in the attribute or in the sum that exporters wrote before the operator existed."""
    for node in g.of(*NORMALISATIONS):
        assert abs(g.get(node, "epsilon", 1e-5) - 1e-5) < 1e-9
        yield g.setting(node, "epsilon", 1e-3)
    for node in g.of("Add"):
        for position in (0, 1):
            yield from g.replacing(node, position, lambda v: v * 100 if v.size == 1 and abs(v - 1e-5) < 1e-9 else v)


@FAULTS.everywhere
def matrices_transposed(g):
    """Only square ones, which fit either way."""
    for node in g.of("Gemm", "MatMul"):
        yield from g.replacing(node, 1, lambda v: v.T if v.ndim == 2 and v.shape[0] == v.shape[1] else v)


@FAULTS.everywhere
def channels_last(g):
    """Outputs in the other order of axes."""
    for output in g.graph.output:
        if len(output.type.tensor_type.shape.dim) > 2:
            yield functools.partial(_swap, g, output, keep_shape=False)


@FAULTS.everywhere
def channels_last_same_shape(g):
    """Values in the other order with the right shape: only values reveal it."""
    for output in g.graph.output:
        sizes = output.type.tensor_type.shape.dim
        # One channel, which may be what an unknown size is: first or last, the numbers are in the same order.
        if len(sizes) > 2 and sizes[1].dim_value > 1:
            yield functools.partial(_swap, g, output, keep_shape=True)


def _swap(g, output, keep_shape):
    name = output.name
    right, last = f"{name}_right", f"{name}_swapped" if keep_shape else name
    for node in g.graph.node:
        node.output[:] = [right if item == name else item for item in node.output]
        node.input[:] = [right if item == name else item for item in node.input]
    axes = len(output.type.tensor_type.shape.dim)
    g.graph.node.append(helper.make_node("Transpose", [right], [last], perm=[0, *range(2, axes), 1]))
    if keep_shape:
        g.graph.node.append(helper.make_node("Shape", [right], [f"{name}_shape"]))
        g.graph.node.append(helper.make_node("Reshape", [last, f"{name}_shape"], [name]))
    output.type.tensor_type.ClearField("shape")


@FAULTS.everywhere
def half_precision_weights(g):
    """Every weight through float16 and back."""
    for node in list(g.graph.node):
        for position, name in enumerate(node.input):
            tensor = g.constant(name)
            if tensor is not None and tensor.data_type == TensorProto.FLOAT and tensor.dims:
                yield from g.replacing(node, position, lambda v: v.astype(numpy.float16))


@FAULTS.also_once
def bias_dropped(g):
    for node in list(g.graph.node):
        if node.op_type in ("Conv", "ConvTranspose", "Gemm"):
            yield from g.replacing(node, 2, numpy.zeros_like)
        elif node.op_type in RECURRENT:
            yield from g.replacing(node, 3, numpy.zeros_like)
        elif node.op_type == "Add":
            for position in (0, 1):
                yield from g.replacing(node, position, lambda v: v * 0 if v.ndim == 1 else v)


@FAULTS.everywhere
def smallest_for_largest(g):
    for node in g.of("TopK"):
        if g.opset >= 11:
            yield g.setting(node, "largest", 0)
    for node in g.of("ArgMax"):
        yield functools.partial(setattr, node, "op_type", "ArgMin")


@FAULTS.also_once
def branches_exchanged(g):
    for node in g.of("Where"):
        condition, yes, no = node.input
        yield functools.partial(node.input.__setitem__, slice(None), [condition, no, yes])


@FAULTS.everywhere
def negation_forgotten(g):
    for node in g.of("Not"):
        yield functools.partial(setattr, node, "op_type", "Identity")


@FAULTS.also_once
def integers_in_32_bits(g):
    for output in g.graph.output:
        if output.type.tensor_type.elem_type == TensorProto.INT64:
            yield functools.partial(_narrow, g, output)


def _narrow(g, output):
    for node in g.graph.node:
        node.output[:] = [f"{output.name}_wide" if item == output.name else item for item in node.output]
        node.input[:] = [f"{output.name}_wide" if item == output.name else item for item in node.input]
    narrow = helper.make_node("Cast", [f"{output.name}_wide"], [output.name], to=TensorProto.INT32)
    g.graph.node.append(narrow)
    output.type.tensor_type.elem_type = TensorProto.INT32


@FAULTS.everywhere
def nan_in_a_weight(g):
    def spoiled(values):
        if values.ndim > 1:
            values = values.copy()
            values.flat[0] = numpy.nan
        return values

    for node in list(g.graph.node):
        if node.op_type in (*WINDOWS, *RECURRENT, "Gemm", "MatMul"):
            yield from g.replacing(node, 1, spoiled)
