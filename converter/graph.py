"""Facts about an ONNX model, read from the protobuf with nothing but its own fields: the onnx package of an
environment may be older than the model, and its helpers then refuse."""

from converter.tensors import type_name

# AttributeProto.AttributeType in onnx.proto.
_INTEGER = 2
_TEXT = 3
_TEXT_LIMIT = 40
_GIVEN_LIMIT = 8


def describe(model):
    """Facts of a ModelProto: {"opset_written": int or None, "opsets": {domain: int}, "ir_version", "producer_version",
    "operators": {type: count}, "uses": see `uses`, "graph_inputs": [name], "graph_outputs": [name]}. The default domain
    is "ai.onnx" here, operators of other domains are counted as "domain.Type", those inside subgraphs and functions
    too."""
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
    """Every node, those inside subgraphs and functions too."""
    found = list(model.graph.node)
    for function in getattr(model, "functions", []):  # fields that old protobuf classes do not have
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
    """In which ways operators are used: [{"operator", "modes": {attribute: text or integer}, "given": "110"}], each way
    once, sorted. `given` has a 1 for every input that is there and a 0 for one left out, at most eight of them. Texts
    and integers are the attributes that switch an operator from one behaviour to another; sizes are mostly lists."""
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
    """(name, type, value), the type so that any two can be put in order; None for what is no text and no integer."""
    if attribute.type == _TEXT:
        return attribute.name, "text", attribute.s.decode("utf-8", "replace")[:_TEXT_LIMIT]
    if attribute.type == _INTEGER:
        return attribute.name, "integer", attribute.i
    return None


def inputs(model):
    """Names of what has to be fed, in order. Files of IR version 3 list their weights among the graph's inputs."""
    weights = {weight.name for weight in model.graph.initializer}
    return [value.name for value in model.graph.input if value.name not in weights]


def outputs(model):
    return [value.name for value in model.graph.output]


class NotATensor(TypeError):
    pass


def signature(model):
    """{"inputs": [...], "outputs": [...]} of a ModelProto, each {"name", "shape", "dtype"}: the shape a list of sizes,
    labels of dynamic axes and None for unnamed ones, or None as a whole where the file does not say; the dtype a
    numpy name (or ONNX's own for what numpy lacks) or None. NotATensor for sequences, maps and optionals."""
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
        return extent.dim_value if extent.dim_value >= 0 else None  # -1 is how some writers say dynamic
    return extent.dim_param or None
