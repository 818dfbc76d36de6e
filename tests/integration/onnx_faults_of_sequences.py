"""Mistakes that a converter can make between ONNX's conventions and TensorFlow's, for sequence models."""

import functools

import numpy
from onnx import helper
from onnx_editing import RECURRENT, Faults

# Blocks of a gate's weights: LSTM input, output, forget, cell; GRU update, reset, hidden.
OTHER_ORDER = {"LSTM": [0, 2, 1, 3], "GRU": [1, 0, 2]}

FAULTS = Faults()


@FAULTS.everywhere
def gates_in_another_order(g):
    for node in g.of(*OTHER_ORDER):
        for position in (1, 2, 3):
            yield from g.replacing(node, position, functools.partial(_reordered, node.op_type, 1 + (position == 3)))


@FAULTS.everywhere
def gates_of_recurrent_weights_in_another_order(g):
    for node in g.of(*OTHER_ORDER):
        yield from g.replacing(node, 2, functools.partial(_reordered, node.op_type, 1))


@FAULTS.also_once
def gates_of_biases_in_another_order(g):
    for node in g.of(*OTHER_ORDER):
        yield from g.replacing(node, 3, functools.partial(_reordered, node.op_type, 2))


def _reordered(kind, parts, values):
    # A bias has the blocks twice, for the input and for the state.
    order = OTHER_ORDER[kind]
    return values.reshape(len(values), parts, len(order), -1)[:, :, order].reshape(values.shape)


@FAULTS.also_once
def reset_before_the_product(g):
    """The GRU as published instead of the variant of torch and cuDNN."""
    for node in g.of("GRU"):
        if g.get(node, "linear_before_reset") == 1:
            yield g.setting(node, "linear_before_reset", 0)


@FAULTS.everywhere
def recurrent_weights_transposed(g):
    for node in g.of(*RECURRENT):
        size = g.get(node, "hidden_size")

        def transposed(values, size=size):
            return values.reshape(len(values), -1, size, size).swapaxes(2, 3).reshape(values.shape)

        yield from g.replacing(node, 2, transposed)


@FAULTS.everywhere
def directions_exchanged(g):
    for node in g.of(*RECURRENT):
        if g.get(node, "direction") == b"bidirectional":
            for position in (1, 2, 3):
                yield from g.replacing(node, position, lambda v: v[::-1])


@FAULTS.everywhere
def state_activation(g):
    """Clipped below instead of squashed."""
    for node in g.of("RNN"):
        yield g.setting(node, "activations", [b"Relu"] * len(g.get(node, "activations", [b"Tanh"])))


@FAULTS.also_once
def softmax_axis(g):
    for node in g.of("Softmax"):
        yield g.setting(node, "axis", 0 if g.get(node, "axis", -1) == 1 else 1)


@FAULTS.everywhere
def softened_gelu(g):
    """Its approximation: erf(x / sqrt 2) by tanh(sqrt(2 / pi) (x + 0.044715 x**3))."""
    for node in g.of("Erf"):
        yield functools.partial(_tanh_for_erf, g, node)


def _tanh_for_erf(g, node):
    # With y = x / sqrt 2 the argument is y (a + b y**2), where a = 2 / sqrt pi and b = 0.08943 a.
    y, name, a = node.input[0], node.output[0], 2 / numpy.sqrt(numpy.pi)
    square = g.insert_before(node, "Mul", [y, y], f"{name}_square")
    third = g.insert_before(node, "Mul", [square, g.number(f"{name}_b", 0.08943 * a)], f"{name}_third")
    slope = g.insert_before(node, "Add", [third, g.number(f"{name}_a", a)], f"{name}_slope")
    argument = g.insert_before(node, "Mul", [slope, y], f"{name}_argument")
    node.CopyFrom(helper.make_node("Tanh", [argument], [name]))


@FAULTS.everywhere
def rows_of_an_embedding_shifted(g):
    for node in g.of("Gather"):
        yield from g.replacing(node, 0, lambda v: numpy.roll(v, 1, axis=0) if v.ndim == 2 else v)
