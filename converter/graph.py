"""Facts about an ONNX model, read from the protobuf with nothing but its own fields: the onnx package of an
environment may be older than the model, and its helpers then refuse."""
from converter.tensors import type_name


def describe(model):
    """Facts of a ModelProto: {"opset_written": int or None, "opsets": {domain: int}, "ir_version", "producer_version",
    "operators": {type: count}, "graph_inputs": [name], "graph_outputs": [name]}. The default domain is "ai.onnx" here,
    operators of other domains are counted as "domain.Type", those inside subgraphs and functions too."""
    opsets = {item.domain or "ai.onnx": item.version for item in model.opset_import}
    operators = {}
    nodes = list(model.graph.node)
    for function in getattr(model, "functions", []):  # fields that old protobuf classes do not have
        nodes.extend(function.node)
    while nodes:
        node = nodes.pop()
        kind = node.op_type if node.domain in ("", "ai.onnx") else node.domain + "." + node.op_type
        operators[kind] = operators.get(kind, 0) + 1
        for attribute in node.attribute:
            nodes.extend(attribute.g.node)
            for graph in attribute.graphs:
                nodes.extend(graph.node)
    return {
        "opset_written": opsets.get("ai.onnx"),
        "opsets": opsets,
        "ir_version": model.ir_version,
        "producer_version": model.producer_version,
        "operators": operators,
        "graph_inputs": inputs(model),
        "graph_outputs": outputs(model),
    }


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
