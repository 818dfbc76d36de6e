"""Choose inputs for a user's .onnx file with ONNX Runtime, in the reference environment: sizes for the axes that the
file leaves open, two for each where it runs with two, and ranges of values with which its outputs vary.

Inputs: saved/model.onnx, the file as the pass before left it (nothing is done without it). Params: {"inputs":
[{"name", "shape": [size], "longer": [size], "dtype", "range": [low, high]}], those that the user states; null: all
inputs are given}. Nothing is chosen either where the stated ones do not fit the file: the driver says so.
Facts: "chosen" [{"name", "dtype", "shape": [size], "longer": [size], "range": [low, high], "longer_range", "why"}],
"sizes" {label: size} of the open axes, "constant" [name of an output that did not vary].
"""

import os
from types import SimpleNamespace

from converter.choosing.search import NoInputsFound, Search
from converter.choosing.structure import Structure
from converter.graph import signature

CARRIED = "saved"
_DRAWN = frozenset(
    ("float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool")
)


class NotDrawable(NoInputsFound):
    """An input is of a type, or of a rank unknown, for which no values can be drawn."""


def framework():
    import onnx
    import onnx.numpy_helper
    import onnxruntime

    return SimpleNamespace(onnx=onnx, onnxruntime=onnxruntime)


def load(job, packages, _):
    path = os.path.join(job.given(CARRIED), "model.onnx")
    if job.params.get("inputs") is None or not os.path.exists(path):
        return None
    model = packages.onnx.load(path)
    options = packages.onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)
    options.log_severity_level = 4  # what it says to each try is kept by us
    try:
        session = packages.onnxruntime.InferenceSession(path, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception:
        if _fixed(signature(model)["inputs"]):
            return None  # the job that computes the reference says it
        raise
    return model, session


def run(job, packages, loaded):
    if loaded is None:
        return
    model, session = loaded
    signed = signature(model)
    stated = _matched(job.params["inputs"], signed["inputs"])
    if stated is None:
        return
    for item in signed["inputs"]:
        if item["dtype"] not in _DRAWN:
            raise NotDrawable("input %r is of type %s: pass your own inputs" % (item["name"], item["dtype"]))
        if item["shape"] is None and item["name"] not in stated:
            raise NotDrawable("the file does not say how many axes input %r has: state its shape" % item["name"])
    inputs = [{"name": item["name"], "dtype": item["dtype"], "shape": _open(item)} for item in signed["inputs"]]
    names = [item["name"] for item in signed["outputs"]]
    search = Search(
        inputs, stated, Structure(model, packages.onnx.numpy_helper.to_array), lambda feed: session.run(names, feed)
    )
    try:
        shapes, longer, values, sizes = search.chosen()
    except NoInputsFound:
        if _fixed(signed["inputs"]):
            return
        raise
    job.facts["chosen"] = [
        {
            "name": item["name"],
            "dtype": item["dtype"],
            "shape": shapes[item["name"]],
            "longer": longer[item["name"]],
            "range": list(values[item["name"]].bounds(shapes)),
            "longer_range": list(values[item["name"]].bounds(longer)),
            "why": values[item["name"]].why,
        }
        for item in inputs
    ]
    job.facts["sizes"] = sizes
    job.facts["constant"] = [names[place] for place in search.constant]


def _fixed(inputs):
    return all(item["shape"] is not None and all(isinstance(size, int) for size in _open(item)) for item in inputs)


def _matched(stated, declared):
    """Return {name: stated input}; by position where the user gave them no names; None where they do not fit."""
    names = [item["name"] for item in declared]
    if len(stated) == len(names) and not any(item["name"] in names for item in stated):
        stated = [dict(item, name=name) for item, name in zip(stated, names)]
    found = {item["name"]: item for item in stated}
    for item in declared:
        mine = found.get(item["name"])
        if mine is not None and item["shape"] is not None:
            pairs = list(zip(mine["shape"], _open(item)))
            fits = len(mine["shape"]) == len(item["shape"]) and all(
                size == wanted for size, wanted in pairs if isinstance(wanted, int)
            )
            if not fits or item["dtype"] not in (None, mine["dtype"]):
                return None
    return found if set(found) <= set(names) else None


def _open(item):
    # A size of 0 is what some writers put for an open axis.
    return [size if isinstance(size, int) and size > 0 else None if size == 0 else size for size in item["shape"] or []]


STAGES = (load, run)
