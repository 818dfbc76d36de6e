"""Inspect and change an ONNX model, inside the reference environment."""

import functools

import numpy
from onnx import helper, numpy_helper

WINDOWS = ("Conv", "ConvTranspose", "MaxPool", "AveragePool")
RECURRENT = ("LSTM", "GRU", "RNN")


class Faults(dict):
    """By name. A fault is a generator over a `Graph`: for each place it applies to it yields the change, to be done by
    calling it. Done everywhere a fault may be easy to see; the twin `<name>_once` does it at the last place only, where
    least comes after it to make the error larger."""

    def everywhere(self, function):
        self[function.__name__] = function
        return function

    def also_once(self, function):
        self[f"{function.__name__}_once"] = lambda graph: list(function(graph))[-1:]
        return self.everywhere(function)


class Graph:
    def __init__(self, model):
        self.model = model
        self.graph = model.graph
        self.opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))

    def of(self, *kinds):
        return [node for node in self.graph.node if node.op_type in kinds]

    def get(self, node, name, default=None):
        return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)

    def set(self, node, name, value):
        kept = [item for item in node.attribute if item.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    def setting(self, node, name, value):
        """`set`, to be done later."""
        return functools.partial(self.set, node, name, value)

    def constant(self, name):
        """Return the tensor of a weight or a Constant node, or None if it is computed."""
        for item in self.graph.initializer:
            if item.name == name:
                return item
        for node in self.of("Constant", "Identity"):
            if node.output[0] == name:
                if node.op_type == "Identity":  # an alias of a weight that several layers share
                    return self.constant(node.input[0])
                return next((item.t for item in node.attribute if item.name == "value"), None)
        return None

    def values(self, name):
        tensor = self.constant(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def replacing(self, node, position, function):
        """Gives one input of a node, a constant, a function of its values: yields the change, to be done later, unless
        there is no such input or it would stay as it is. Who else reads that constant keeps it."""
        before = self.values(node.input[position]) if len(node.input) > position else None
        if before is None:
            return
        after = numpy.asarray(function(before)).astype(before.dtype)
        if before.shape == after.shape and numpy.array_equal(before, after):
            return
        yield functools.partial(self._put, node, position, after)

    def _put(self, node, position, values):
        name = f"{node.input[position]}_of_{node.output[0]}"
        self.graph.initializer.append(numpy_helper.from_array(values, name))
        node.input[position] = name

    def insert_before(self, node, kind, inputs, output, **attributes):
        at = next(i for i, other in enumerate(self.graph.node) if other.output[:] == node.output[:])
        self.graph.node.insert(at, helper.make_node(kind, inputs, [output], **attributes))
        return output

    def number(self, name, value):
        """Add a float32 constant and return its name."""
        self.graph.initializer.append(numpy_helper.from_array(numpy.float32(value), name))
        return name
