"""Replace nodes of an ONNX model by others. Used in the reference environment, whose onnx knows every operator."""

import numpy

OWN = ("", "ai.onnx")


class CannotRewrite(Exception):
    """An operator, or the way it is used, cannot be spelled otherwise; the message names it."""


def prepared(onnx, model):
    """Return the model without functions of its own, with the shapes that can be inferred: some changes need ranks."""
    if getattr(model, "functions", None):
        model = onnx.inliner.inline_local_functions(model)
    try:
        return onnx.shape_inference.infer_shapes(model)
    except Exception:
        return model


class Rewriting:
    """Goes through the graphs of a model. A subclass says in `replaced` which nodes to put in the place of a node, or
    raises CannotRewrite."""

    def __init__(self, onnx, model):
        self.onnx = onnx
        self.written = next(item.version for item in model.opset_import if item.domain in OWN)
        self.constants = {}
        self.ranks = {}
        self.sizes = {}
        self.count = 0

    def graph(self, graph):
        for tensor in graph.initializer:
            self.constants[tensor.name] = self.onnx.numpy_helper.to_array(tensor)
        for value in list(graph.input) + list(graph.value_info) + list(graph.output):
            if value.type.HasField("tensor_type") and value.type.tensor_type.HasField("shape"):
                extents = value.type.tensor_type.shape.dim
                self.ranks[value.name] = len(extents)
                self.sizes[value.name] = [item.dim_value if item.HasField("dim_value") else None for item in extents]
        made: list = []
        for node in graph.node:
            if node.op_type == "Constant" and node.domain in OWN:
                value = _value(self.onnx, node)
                if value is not None:
                    self.constants[node.output[0]] = value
                    self.constant(node, value)
            for attribute in node.attribute:
                for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                    self.graph(inner)
            made.extend(self.replaced(node))
        del graph.node[:]
        graph.node.extend(made)
        # What was inferred holds for the nodes that were there, and is not always right.
        del graph.value_info[:]

    def constant(self, node, value):
        """Change a Constant node in place, if need be."""

    def replaced(self, node):
        """Return the nodes to put in the place of a node."""
        raise NotImplementedError

    def given(self, node, place):
        """Return a constant input as an array, None where there is none. Raises CannotRewrite where it is computed."""
        if len(node.input) <= place or not node.input[place]:
            return None
        if node.input[place] not in self.constants:
            raise CannotRewrite("%s takes a computed %s" % (node.op_type, node.input[place]))
        return self.constants[node.input[place]]

    def attribute(self, node, name, otherwise=None):
        for item in node.attribute:
            if item.name == name:
                return self.onnx.helper.get_attribute_value(item)
        return otherwise

    def drop(self, node, *names):
        kept = [item for item in node.attribute if item.name not in names]
        del node.attribute[:]
        node.attribute.extend(kept)

    def set(self, node, name, value):
        self.drop(node, name)
        node.attribute.append(self.onnx.helper.make_attribute(name, value))

    def name(self, node):
        self.count += 1
        return "%s_lowered_%d" % (node.output[0] or node.op_type, self.count)

    def node(self, operator, inputs, outputs, **attributes):
        return self.onnx.helper.make_node(operator, inputs, outputs, **attributes)

    def number(self, node, value, like="float32"):
        """Return (node, name) of a constant scalar."""
        name = self.name(node)
        tensor = self.onnx.numpy_helper.from_array(numpy.asarray(value, like))
        return self.node("Constant", [], [name], value=tensor), name

    def constant_of(self, node, value):
        """Return (node, name) of a constant array."""
        value = numpy.asarray(value)
        return self.number(node, value, value.dtype)

    def rank(self, name):
        if name not in self.ranks:
            raise CannotRewrite("the rank of %s is not known" % name)
        return self.ranks[name]


def _value(onnx, node):
    """Return the value of a Constant node as an array, None for one that numpy lacks."""
    for attribute in node.attribute:
        if attribute.name == "value":
            return onnx.numpy_helper.to_array(attribute.t)
        if attribute.name in ("value_float", "value_int", "value_floats", "value_ints"):
            value = onnx.helper.get_attribute_value(attribute)
            return numpy.asarray(value, "float32" if "float" in attribute.name else "int64")
    return None


def with_axes(work, node, operator, given, made, axes):
    """Return the nodes of a Squeeze or Unsqueeze, whose axes are an attribute before opset 13."""
    if work.written < 13:
        return [work.node(operator, [given], [made], axes=axes)]
    constant, name = work.constant_of(node, numpy.asarray(axes, "int64"))
    return [constant, work.node(operator, [given, name], [made])]
