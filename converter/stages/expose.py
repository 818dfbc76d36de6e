"""Make every intermediate tensor of an ONNX model an output and compute it for one case, in the reference environment,
to compare a conversion node by node.

Inputs: model.onnx, inputs.npz. Params: {"case": k}. Outputs: exposed.onnx (same IR version and opsets; the model's own
outputs first, then those of its nodes in order) and exposed.npz (all these tensors for case k, stored as case 0).
Facts: "case" and
    "nodes": [{"index", "name", "operator", "domain", "opset", "inputs": [names], "outputs": [names]}]
in topological order; "inputs" includes what subgraphs read from enclosing graphs. Nodes of subgraphs are not exposed:
an If or Loop is one node.
"""

import re
from types import SimpleNamespace

from converter import graph
from converter.arrays import in_order, read_cases, write_cases

LIMIT_MB = 2048
# Element types that can be exposed, by size in bytes; .npz files hold no sequences, optionals or strings.
_BYTES = {
    "float": 4,
    "double": 8,
    "float16": 2,
    "bool": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
}


def framework():
    import onnx
    import onnxruntime

    return SimpleNamespace(onnx=onnx, onnxruntime=onnxruntime)


class TooLarge(Exception):
    """The intermediate tensors exceed the limit."""


def load(job, packages, _):
    model = packages.onnx.load(job.given("model.onnx"))
    case = job.params["case"]
    cases = read_cases(job.given("inputs.npz"))
    if not 0 <= case < len(cases):
        raise ValueError("there is no case %r, the inputs have %d" % (case, len(cases)))
    names = graph.inputs(model)
    feed = dict(zip(names, in_order(cases[case], names)))
    job.facts.update(case=case, nodes=_nodes(model))
    return model, feed


def expose(job, packages, given):
    model, feed = given
    own = graph.outputs(model)
    inner = [name for node in job.facts["nodes"] for name in node["outputs"] if name not in own]
    wide = packages.onnx.ModelProto()
    wide.CopyFrom(model)
    _fix_shapes(wide, feed)
    # Without a type: ONNX Runtime infers it.
    wide.graph.output.extend(packages.onnx.ValueInfoProto(name=name) for name in inner)
    # No optimisation: fused nodes round differently.
    options = packages.onnxruntime.SessionOptions()
    options.graph_optimization_level = packages.onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = packages.onnxruntime.InferenceSession(
        wide.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    tensors = {output.name: output for output in session.get_outputs() if _element(output)}
    names = [name for name in own + inner if name in tensors]
    _refuse_beyond_limit(sum(_megabytes(tensors[name]) for name in names))
    values = dict(zip(names, session.run(names, feed)))
    # Check again: sizes computed by the model are known only now.
    _refuse_beyond_limit(sum(value.nbytes for value in values.values()) / 2.0**20)
    write_cases(job.made("exposed.npz"), [values])
    helper = packages.onnx.helper
    for name in names:
        if name not in own:
            kind = helper.np_dtype_to_tensor_dtype(values[name].dtype)
            # With the shape of this case: old checkers reject an output without one.
            model.graph.output.append(helper.make_tensor_value_info(name, kind, list(values[name].shape)))
    packages.onnx.save(model, job.made("exposed.onnx"))


def _fix_shapes(model, feed):
    """Set the inputs' shapes to those that are fed, so that ONNX Runtime knows the size of most tensors in advance."""
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name in feed and len(dims) == feed[value.name].ndim:
            for dim, size in zip(dims, feed[value.name].shape):
                dim.dim_value = size


def _element(output):
    found = re.match(r"tensor\((\w+)\)\Z", output.type)
    return found.group(1) if found and found.group(1) in _BYTES else None


def _megabytes(output):
    size = _BYTES[_element(output)] / 2.0**20
    for dim in output.shape:
        size *= dim if isinstance(dim, int) else 1
    return size


def _refuse_beyond_limit(megabytes):
    if megabytes > LIMIT_MB:
        raise TooLarge(
            "the tensors inside the model take about %.0f MB for this case, more than the %d MB that are looked"
            " through; a smaller input shows the same node" % (megabytes, LIMIT_MB)
        )


def _nodes(model):
    opsets = graph.describe(model)["opsets"]
    return [
        {
            "index": index,
            "name": node.name,
            "operator": node.op_type,
            "domain": node.domain,
            "opset": opsets.get(node.domain or "ai.onnx"),
            "inputs": _read_by(node),
            "outputs": [name for name in node.output if name],
        }
        for index, node in enumerate(model.graph.node)
    ]


def _read_by(node):
    """Return the distinct tensors a node reads; those its subgraphs read from enclosing graphs come last."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            made = {value.name for value in list(inner.input) + list(inner.initializer)}
            made.update(name for item in inner.node for name in item.output)
            read = [name for item in inner.node for name in _read_by(item)] + [value.name for value in inner.output]
            names.extend(name for name in read if name not in made)
    return sorted(set(names), key=names.index)


STAGES = (load, expose)
