"""Every intermediate tensor of an ONNX model made an output, in the reference environment, and its value for one
case: what a conversion is held against, node by node.

Inputs: model.onnx, inputs.npz. Params: {"case": k}. Outputs: exposed.onnx (same IR version and opsets; the model's own
outputs first, then those of its nodes in their order) and exposed.npz (all its tensors for case k, which is case 0
there). Facts: "case" and
    "nodes": [{"index", "name", "operator", "domain", "opset", "inputs": [names], "outputs": [names]}]
in topological order, where "inputs" has also what subgraphs read from around them. Nodes of subgraphs are not
exposed: an If or Loop is one node.
"""

import re
from types import SimpleNamespace

from converter import graph
from converter.arrays import in_order, read_cases, write_cases

LIMIT_MB = 2048
# What numpy can hold and a file of arrays may; sequences, optionals and text have no place there.
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
    """The intermediate tensors do not fit."""


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
    # Outputs without a type: ONNX Runtime finds it by itself.
    wide.graph.output.extend(packages.onnx.ValueInfoProto(name=name) for name in inner)
    # No optimisation: a fused pair of nodes has other roundings than the two.
    options = packages.onnxruntime.SessionOptions()
    options.graph_optimization_level = packages.onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = packages.onnxruntime.InferenceSession(
        wide.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    tensors = {output.name: output for output in session.get_outputs() if _element(output)}
    names = [name for name in own + inner if name in tensors]
    _refuse_beyond_limit(sum(_megabytes(tensors[name]) for name in names))
    values = dict(zip(names, session.run(names, feed)))
    # Once more: a size that is computed in the model is not known before.
    _refuse_beyond_limit(sum(value.nbytes for value in values.values()) / 2.0**20)
    write_cases(job.made("exposed.npz"), [values])
    helper = packages.onnx.helper
    for name in names:
        if name not in own:
            kind = helper.np_dtype_to_tensor_dtype(values[name].dtype)
            # With a shape, though it is this case's alone: old checkers refuse an output without one.
            model.graph.output.append(helper.make_tensor_value_info(name, kind, list(values[name].shape)))
    packages.onnx.save(model, job.made("exposed.onnx"))


def _fix_shapes(model, feed):
    """Gives the inputs the shapes that are fed, so that ONNX Runtime knows the size of most tensors beforehand."""
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
    """Names of the tensors a node reads, without repetitions, those its subgraphs take from around them last."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            made = {value.name for value in list(inner.input) + list(inner.initializer)}
            made.update(name for item in inner.node for name in item.output)
            read = [name for item in inner.node for name in _read_by(item)] + [value.name for value in inner.output]
            names.extend(name for name in read if name not in made)
    return sorted(set(names), key=names.index)


STAGES = (load, expose)
