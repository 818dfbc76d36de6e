"""Rewrite an ONNX model without changing its meaning, in the reference environment, whose onnx is newer than any model
it is given.

Inputs: model.onnx, inputs.npz. Output: model.onnx. Params: {"change": one of
    {"ir_version": n}    lower or raise the format's version; the operators stay
    {"opset": n}         onnx.version_converter; where that fails on the way down, converter/rewriting/lowering.py
    {"simplify": true}   onnxsim: fold constants, remove redundancy; needs that package in the environment
    {"fix": true}        open axes fixed to the sizes of the first case of inputs.npz, then as {"simplify": true}
    {"spell": true}      see converter/rewriting/spelling.py
    {"rename": true}     see converter/rewriting/renaming.py}
The reference job checks whether the meaning was preserved.
"""

from types import SimpleNamespace

from converter import graph
from converter.arrays import in_order, read_cases
from converter.rewriting.lowering import OLDEST, lower
from converter.rewriting.renaming import rename
from converter.rewriting.spelling import spell


def framework():
    import onnx
    import onnx.inliner
    import onnx.shape_inference

    return SimpleNamespace(onnx=onnx)


class ChangeFailed(Exception):
    """A change that raised no error but produced no usable model."""


def load(job, packages, _):
    return packages.onnx.load(job.given("model.onnx"))


def alter(job, packages, model):
    change = job.params["change"]
    if len(change) != 1 or set(change) - set(_CHANGES):
        raise ValueError("one change of %s is asked for at a time, not %r" % (", ".join(sorted(_CHANGES)), change))
    ((kind, value),) = change.items()
    model = _CHANGES[kind](job, packages, model, value)
    packages.onnx.save(model, job.made("model.onnx"))
    job.facts.update(graph.describe(model))


def _ir_version(job, packages, model, version):
    job.facts["ir_version_before"] = model.ir_version
    onnx = packages.onnx
    if version < 8 and model.functions:  # model-local functions need IR version 8
        model = onnx.inliner.inline_local_functions(model)
    if version < 4:
        _initializers_as_inputs(onnx, model.graph)
    model.ir_version = version
    return model


def _initializers_as_inputs(onnx, outer):
    """Declare every initializer as an input, as required before IR version 4 (onnx, docs/IR.md). In subgraphs they
    become Constant nodes instead, because the branches of an If have no inputs."""
    known = {value.name for value in outer.input}
    for weight in outer.initializer:
        if weight.name not in known:
            outer.input.append(onnx.helper.make_tensor_value_info(weight.name, weight.data_type, list(weight.dims)))
    for inner in _subgraphs(outer):
        known = {value.name for value in inner.input}
        constants = [
            onnx.helper.make_node("Constant", [], [weight.name], value=weight)
            for weight in inner.initializer
            if weight.name not in known
        ]
        nodes = constants + list(inner.node)
        kept = [weight for weight in inner.initializer if weight.name in known]
        del inner.node[:], inner.initializer[:]
        inner.node.extend(nodes)
        inner.initializer.extend(kept)


def _subgraphs(outer):
    for node in outer.node:
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                # Nested subgraphs first: their nodes are copied with the outer one.
                yield from _subgraphs(inner)
                yield inner


def _opset(job, packages, model, version):
    written = graph.describe(model)["opset_written"]
    job.facts["opset_before"] = written
    from onnx import version_converter

    try:
        return version_converter.convert_version(model, version)
    except Exception as problem:
        if written is None or version >= written or version < OLDEST:
            raise
        job.facts["version_converter"] = " ".join(str(problem).split())[:500]
        return lower(packages.onnx, model, version)


def _simplify(job, packages, model, _):
    job.facts["nodes_before"] = len(model.graph.node)
    import onnxsim

    simpler, good = onnxsim.simplify(model)
    if not good:
        raise ChangeFailed("onnxsim computed other numbers with the simplified model than with the given one")
    return simpler


def _fix(job, packages, model, _):
    job.facts["nodes_before"] = len(model.graph.node)
    import onnxsim

    names = graph.inputs(model)
    case = read_cases(job.given("inputs.npz"))[0]
    shapes = {name: list(array.shape) for name, array in zip(names, in_order(case, names))}
    simpler, good = onnxsim.simplify(model, overwrite_input_shapes=shapes)
    if not good:
        raise ChangeFailed("onnxsim computed other numbers with the model of fixed sizes than with the given one")
    job.facts["fixed"] = shapes
    return simpler


def _spell(job, packages, model, _):
    model, job.facts["spelled"] = spell(packages.onnx, model)
    return model


def _rename(job, packages, model, _):
    job.facts["renamed"] = rename(model)
    return model


_CHANGES = {
    "ir_version": _ir_version,
    "opset": _opset,
    "simplify": _simplify,
    "fix": _fix,
    "spell": _spell,
    "rename": _rename,
}

STAGES = (load, alter)
