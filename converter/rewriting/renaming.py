"""Rename the tensors and nodes of an ONNX model to names that every TensorFlow accepts.

Newer torch releases write names such as "/encoder/Conv_output_0" and "input.1". TensorFlow rejects scopes that begin
with "/" (the rule is in its python/framework/ops.py, strictest in 1.x), and functions made by onnx-tf 1.7 and later
take the graph's inputs as parameters, which must be Python identifiers.
"""

import keyword
import re

from converter import graph

_INNER = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_./-]*\Z")
_CHARACTERS = re.compile(r"[A-Za-z0-9_./-]*\Z")
_OUTER = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


def rename(model):
    """Rename in place where necessary, including subgraphs, and return how many names changed.

    A name is replaced by the same new name everywhere, so references stay intact. Names inside function bodies are
    local to them and stay.
    """
    outer = set(graph.inputs(model) + graph.outputs(model))
    names = sorted({name for _, name in _names(model.graph) if name})
    good = {name for name in names if _fits(name, name in outer)}
    used, changes = set(good), {}
    for name in names:
        if name not in good:
            changes[name] = _unused(_made_to_fit(name, name in outer), used)
            used.add(changes[name])
    for write, name in list(_names(model.graph)):
        if name in changes:
            write(changes[name])
    return len(changes)


def unfit(model):
    """Return how many names no converter takes as they are: with characters that TensorFlow has no use for, such as
    colons, and names of inputs and outputs that are no identifiers. A leading "/" is a matter of the converter."""
    outer = set(graph.inputs(model) + graph.outputs(model))
    names = {name for _, name in _names(model.graph) if name}
    return sum(not (_fits(name, True) if name in outer else _CHARACTERS.match(name)) for name in names)


def _fits(name, outer):
    if outer:
        return bool(_OUTER.match(name)) and not keyword.iskeyword(name)
    return bool(_INNER.match(name)) and not name.endswith("/")


def _made_to_fit(name, outer):
    found = re.sub(r"[^A-Za-z0-9_]" if outer else r"[^A-Za-z0-9_./-]", "_", name).lstrip("_/-").rstrip("/")
    return found if _fits(found, outer) else "t_" + found


def _unused(wish, used):
    name, number = wish, 0
    while name in used:
        number += 1
        name = "%s_%d" % (wish, number)
    return name


def _names(part):
    """Yield (setter, name) for every place in a graph that holds a name."""
    for value in list(part.input) + list(part.output) + list(part.value_info) + list(part.initializer):
        yield _attribute(value, "name"), value.name
    for sparse in part.sparse_initializer:
        yield _attribute(sparse.values, "name"), sparse.values.name
    for annotation in part.quantization_annotation:
        yield _attribute(annotation, "tensor_name"), annotation.tensor_name
        for entry in annotation.quant_parameter_tensor_names:
            yield _attribute(entry, "value"), entry.value
    for node in part.node:
        yield _attribute(node, "name"), node.name
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                yield _item(names, position), name
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _names(inner)


def _attribute(holder, field):
    return lambda name: setattr(holder, field, name)


def _item(names, position):
    return lambda name: names.__setitem__(position, name)
