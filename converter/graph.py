"""Facts about an ONNX model, read from the protobuf fields alone: the helpers of an onnx package reject models that are
newer than it is."""

from converter.tensors import type_name

# AttributeProto.AttributeType in onnx.proto.
_INTEGER = 2
_TEXT = 3
_TEXT_LIMIT = 40
_GIVEN_LIMIT = 8


def describe(model):
    """Return facts about a ModelProto: {"opset_written": int or None, "opsets": {domain: int}, "ir_version",
    "producer_version", "operators": {type: count}, "uses": see `uses`, "graph_inputs": [name],
    "graph_outputs": [name]}.

    The default domain is spelled "ai.onnx"; operators of other domains are counted as "domain.Type". Subgraphs and
    functions are included.
    """
    opsets = {item.domain or "ai.onnx": item.version for item in model.opset_import}
    operators: dict = {}
    for node in nodes(model):
        operators[kind(node)] = operators.get(kind(node), 0) + 1
    return {
        "opset_written": opsets.get("ai.onnx"),
        "opsets": opsets,
        "ir_version": model.ir_version,
        "producer_version": model.producer_version,
        "operators": operators,
        "uses": uses(model),
        "graph_inputs": inputs(model),
        "graph_outputs": outputs(model),
    }


def nodes(model):
    """Yield every node, including those of subgraphs and functions."""
    found = list(model.graph.node)
    for function in getattr(model, "functions", []):  # old protobuf classes lack this field
        found.extend(function.node)
    while found:
        node = found.pop()
        yield node
        for attribute in node.attribute:
            found.extend(attribute.g.node)
            for graph in attribute.graphs:
                found.extend(graph.node)


def kind(node):
    return node.op_type if node.domain in ("", "ai.onnx") else node.domain + "." + node.op_type


def uses(model):
    """Return the distinct ways in which operators are used, sorted:
    [{"operator", "modes": {attribute: text or integer}, "given": "110"}].

    `given` has a 1 for every input present and a 0 for one omitted, for at most eight inputs. `modes` holds text and
    integer attributes, which select an operator's behaviour; sizes are mostly lists.
    """
    found = set()
    for node in nodes(model):
        modes = tuple(sorted(mode for mode in map(_mode, node.attribute) if mode is not None))
        given = "".join("1" if name else "0" for name in node.input)[:_GIVEN_LIMIT]
        found.add((kind(node), modes, given))
    return [
        {"operator": operator, "modes": {name: value for name, _, value in modes}, "given": given}
        for operator, modes, given in sorted(found)
    ]


def _mode(attribute):
    """Return (name, type, value), the type so that any two can be sorted, or None if it is neither text nor integer."""
    if attribute.type == _TEXT:
        return attribute.name, "text", attribute.s.decode("utf-8", "replace")[:_TEXT_LIMIT]
    if attribute.type == _INTEGER:
        return attribute.name, "integer", attribute.i
    return None


def inputs(model):
    """Return the names of the inputs to feed, in order. Models of IR version 3 list their weights as inputs too."""
    weights = {weight.name for weight in model.graph.initializer}
    return [value.name for value in model.graph.input if value.name not in weights]


def outputs(model):
    return [value.name for value in model.graph.output]


class NotATensor(TypeError):
    pass


def signature(model):
    """Return {"inputs": [...], "outputs": [...]} of a ModelProto, each {"name", "shape", "dtype"}.

    `shape` is None if the model does not declare one, otherwise a list of sizes, labels of dynamic axes, and None for
    unnamed ones. `dtype` is numpy's name (ONNX's for types that numpy lacks) or None. Raises NotATensor for sequences,
    maps and optionals.
    """
    fed = set(inputs(model))
    return {
        "inputs": [_value("input", value) for value in model.graph.input if value.name in fed],
        "outputs": [_value("output", value) for value in model.graph.output],
    }


def _value(kind, value):
    what = value.type.WhichOneof("value")
    if what not in (None, "tensor_type"):
        raise NotATensor("the %s %r is no tensor but a %s" % (kind, value.name, what.replace("_type", "")))
    tensor = value.type.tensor_type
    shape = None
    if tensor.HasField("shape"):
        shape = [_extent(extent) for extent in tensor.shape.dim]
    return {"name": value.name, "shape": shape, "dtype": type_name(tensor.elem_type) if tensor.elem_type else None}


def _extent(extent):
    if extent.WhichOneof("value") == "dim_value":
        return extent.dim_value if extent.dim_value >= 0 else None  # some writers use -1 for a dynamic axis
    return extent.dim_param or None
