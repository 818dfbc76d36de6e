"""Facts about an ONNX model, read from the protobuf with nothing but its own fields: the onnx package of an
environment may be older than the model, and its helpers then refuse."""


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
