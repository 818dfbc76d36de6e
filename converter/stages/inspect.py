"""Validate a user's .onnx file, in the reference environment, and save it as a single file (model.onnx).

Inputs: model.onnx; beside/<location>, the files with its external data (if some are missing, the job leaves facts only,
and "external" lists what the model needs); given.npz if the user has expected outputs, copied to the outputs
(given.npz) if it fits the model. The file is also left in saved/, for the next pass.
Facts: those of converter/graph.py; "external" [location]; "unfit_names", how many names no converter takes; "inputs"
and "outputs" [{"name", "shape": [size, label or null] or null if not declared, "dtype": name or null}];
"initializers_mb"; "nan_weights" [name]; "checker": null or the complaint of onnx.checker, which also rejects many
models that work.
"""

import os
import shutil
from types import SimpleNamespace

from converter import external, tensors
from converter.arrays import read_cases
from converter.doubtful import disguise
from converter.finite import has_nan
from converter.graph import describe, signature
from converter.order import check_order
from converter.rewriting.renaming import unfit

BESIDE = "beside"
GIVEN = "given.npz"
CARRIED = "saved"


class NoOnnxModel(ValueError):
    pass


class ReferenceDoesNotFit(ValueError):
    pass


def framework():
    import onnx
    import onnx.checker
    import onnx.numpy_helper

    return SimpleNamespace(onnx=onnx)


def load(job, packages, _):
    """Return the ModelProto, its content not yet validated. Raises NoOnnxModel, or ModelTooLarge."""
    path = job.given("model.onnx")
    words = disguise(path)
    if words is not None:
        raise NoOnnxModel("this is no ONNX file: %s" % words)
    external.check_size(os.path.getsize(path), "without external data")
    model = packages.onnx.ModelProto()
    try:
        with open(path, "rb") as file:
            model.ParseFromString(file.read())
    except Exception as problem:
        raise NoOnnxModel("this is no ONNX file, or only the beginning of one: %s" % problem) from problem
    if not model.HasField("graph") or not model.graph.output:
        raise NoOnnxModel("the file holds no graph, or one without outputs: it is no ONNX file, or damaged")
    if not any(item.domain in ("", "ai.onnx") for item in model.opset_import):
        raise NoOnnxModel("the file does not say for which opset it is: it may be cut short")
    return model


def check(job, packages, model):
    for where, tensor in tensors.stored(model):
        tensors.measure(where, tensor)
    check_order(model)
    job.facts.update(describe(model), external=external.locations(model), unfit_names=unfit(model))
    job.facts.update(signature(model))
    total = sum(tensors.size(where, tensor) for where, tensor in tensors.stored(model))
    job.facts["initializers_mb"] = round(total / tensors.MEGABYTE, 3)
    folder = job.given(BESIDE)
    if not all(os.path.isfile(os.path.join(folder, location)) for location in job.facts["external"]):
        return
    path = job.made("model.onnx")
    if job.facts["external"]:
        external.embed(model, folder)
        with open(path, "wb") as file:
            file.write(model.SerializeToString())
    else:
        shutil.copyfile(job.given("model.onnx"), path)
    _carry(path, os.path.join(job.outbox, CARRIED))
    job.facts["nan_weights"] = [
        tensor.name for tensor in model.graph.initializer if has_nan(_array(tensor, packages.onnx))
    ]
    job.facts["checker"] = _complaint(path, packages.onnx)
    if os.path.exists(job.given(GIVEN)):
        _compare(read_cases(job.given(GIVEN)), job.facts["graph_outputs"])
        shutil.copyfile(job.given(GIVEN), job.made(GIVEN))


def _carry(path, folder):
    os.makedirs(folder)
    place = os.path.join(folder, "model.onnx")
    try:
        os.link(path, place)
    except OSError:  # a file system without links
        shutil.copyfile(path, place)


def _compare(cases, names):
    for number, case in enumerate(cases):
        if set(case) != set(names):
            raise ReferenceDoesNotFit(
                "case %d of the reference has %s, the model's outputs are %s" % (number, sorted(case), sorted(names))
            )


def _array(tensor, onnx):
    array = onnx.numpy_helper.to_array(tensor)
    # Types that numpy lacks have kind "V"; all of them fit into float32.
    return array.astype("float32") if array.dtype.kind == "V" else array


def _complaint(path, onnx):
    try:
        onnx.checker.check_model(path)
    except Exception as problem:
        return str(problem)[:2000]
    return None


STAGES = (load, check)
