"""Read the backend test cases that an installed onnx package ships: each is a model with sets of inputs and outputs."""

import glob
import os
import re
from collections import namedtuple

import numpy

from converter import graph

# Suites and their folders in onnx/backend/test/data. Left out: `real`, which holds only URLs, and `light`, whose models
# lack their weights.
SUITES = (
    ("node", "node"),
    ("simple", "simple"),
    ("converted", "pytorch-converted"),
    ("operator", "pytorch-operator"),
)

# numpy.dtype.isbuiltin of types registered by other packages, such as TensorFlow's bfloat16.
_FOREIGN = 2

Case = namedtuple("Case", "name suite folder")


class NoCasesShipped(Exception):
    pass


def shipped(onnx):
    """Return every Case of the package `onnx`, by suite, then by name. Raises NoCasesShipped if there are none."""
    data = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")
    cases = []
    for suite, folder in SUITES:
        for path in sorted(glob.glob(os.path.join(data, folder, "*", "model.onnx"))):
            home = os.path.dirname(path)
            cases.append(Case(os.path.basename(home), suite, home))
    if not cases:
        raise NoCasesShipped("onnx %s ships no backend test cases" % onnx.__version__)
    return cases


def data_sets(onnx, case, model):
    """Return [(inputs, outputs)] of a case, both in the model's order: an array, a list of values for a sequence, or
    None for an absent optional."""
    fed = set(graph.inputs(model))
    takes = [value.type for value in model.graph.input if value.name in fed]
    gives = [value.type for value in model.graph.output]
    folders = sorted(glob.glob(os.path.join(case.folder, "test_data_set_*")), key=_number)
    return [(_values(onnx, folder, "input", takes), _values(onnx, folder, "output", gives)) for folder in folders]


def _values(onnx, folder, kind, types):
    paths = sorted(glob.glob(os.path.join(folder, kind + "_*.pb")), key=_number)
    return [_value(onnx, path, declared) for path, declared in zip(paths, types)]


def _value(onnx, path, declared):
    what = declared.WhichOneof("value")
    classes = {"sequence_type": "SequenceProto", "optional_type": "OptionalProto"}
    proto = getattr(onnx, classes.get(what, "TensorProto"))()
    with open(path, "rb") as file:
        proto.ParseFromString(file.read())
    if what == "sequence_type":
        return onnx.numpy_helper.to_list(proto)
    if what == "optional_type":
        return onnx.numpy_helper.to_optional(proto)
    if what in (None, "tensor_type"):
        return onnx.numpy_helper.to_array(proto)
    raise graph.NotATensor("%s holds no tensor but a %s" % (os.path.basename(path), what.replace("_type", "")))


def _number(path):
    return int(re.findall(r"(\d+)(?:\.pb)?$", path)[0])


def flat(name, value):
    """Return {name: plain array} of a value. Raises NotATensor for what is none of these.

    None gives nothing, a sequence "<name>[0]", "<name>[1]", ..., strings one array of bytes (UTF-8, joined by NUL), and
    types that numpy lacks float32.
    """
    if value is None:
        return {}
    if isinstance(value, (list, tuple)):
        tensors = {}
        for position, item in enumerate(value):
            tensors.update(flat("%s[%d]" % (name, position), item))
        return tensors
    array = numpy.asarray(value)
    if array.dtype.kind in "OSU":
        array = _bytes(name, array)
    elif array.dtype.isbuiltin == _FOREIGN:
        array = array.astype(numpy.float32)
    return {name: array}


def _bytes(name, array):
    texts = [item.encode("utf-8") if isinstance(item, str) else item for item in array.ravel().tolist()]
    for text in texts:
        if not isinstance(text, bytes):
            raise graph.NotATensor("%r holds a %s" % (name, type(text).__name__))
    return numpy.frombuffer(b"\0".join(texts), dtype=numpy.uint8)
