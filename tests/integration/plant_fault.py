"""Wrong copies of an exposed ONNX file, each with one node that computes something else. Run inside the reference
environment.

    PYTHON plant_fault.py EXPOSED.onnx FAULT OUT.onnx

Prints the index of that node.
"""

import sys

import numpy
import onnx
from onnx import helper, numpy_helper

SIDES = 4


def nth(model, kind, number):
    """Index and node: the one with this number among those of a kind."""
    found = [(index, node) for index, node in enumerate(model.graph.node) if node.op_type == kind]
    assert len(found) > number, f"there are {len(found)} {kind}: the test would prove nothing"
    return found[number]


def set_attribute(node, name, value):
    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def attribute(node, name):
    (found,) = (item for item in node.attribute if item.name == name)
    return helper.get_attribute_value(found)


def epsilon(model):
    """Keras' default 1e-3 instead of torch's 1e-5."""
    index, node = nth(model, "BatchNormalization", 5)
    set_attribute(node, "epsilon", 1e-3)
    return index


def bias_dropped(model):
    index, node = nth(model, "Conv", -1)
    assert len(node.input) == 3
    del node.input[2]
    return index


def resize_mode(model):
    index, node = nth(model, "Upsample", 2)
    assert attribute(node, "mode") == b"nearest"
    set_attribute(node, "mode", "linear")
    return index


def pool_padding(model):
    """All on one side, where TensorFlow puts it."""
    index, node = nth(model, "MaxPool", 0)
    assert list(attribute(node, "pads")) == [1] * SIDES
    set_attribute(node, "pads", [0, 0, 2, 2])
    return index


def convolution_padding(model):
    index, node = nth(model, "Conv", 3)
    assert list(attribute(node, "pads")) == [1] * SIDES
    set_attribute(node, "pads", [0, 0, 2, 2])
    return index


def transposed(model):
    """The last matrix product with its inputs' axes swapped."""
    index, node = nth(model, "Gemm", -1)
    weight = next(item for item in model.graph.initializer if item.name == node.input[1])
    values = numpy_helper.to_array(weight)
    swapped = numpy.ascontiguousarray(values.reshape(values.shape[::-1]).T)
    model.graph.initializer.append(numpy_helper.from_array(swapped, "swapped"))
    node.input[1] = "swapped"
    return index


def gate_order(model):
    """ONNX packs input, output, forget, cell; torch input, forget, cell, output."""
    index, node = nth(model, "LSTM", 0)
    quarter = attribute(node, "hidden_size")
    order = numpy.concatenate([numpy.arange(quarter) + quarter * gate for gate in (0, 2, 3, 1)])
    model.graph.initializer.append(numpy_helper.from_array(order, "gates"))
    gather = helper.make_node("Gather", [node.input[1], "gates"], ["other_gates"], axis=1)
    node.input[1] = "other_gates"
    model.graph.node.insert(index, gather)
    return index  # of the LSTM, before the inserted Gather, which the right file lacks


FAULTS = (epsilon, bias_dropped, resize_mode, pool_padding, convolution_padding, transposed, gate_order)


def main(source, fault, target):
    model = onnx.load(source)
    print(next(plant for plant in FAULTS if plant.__name__ == fault)(model))
    # Weights added in a file of IR version 3 must be inputs too.
    known = {value.name for value in model.graph.input}
    for weight in model.graph.initializer:
        if model.ir_version < 4 and weight.name not in known:
            model.graph.input.append(helper.make_tensor_value_info(weight.name, weight.data_type, list(weight.dims)))
    onnx.save(model, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
