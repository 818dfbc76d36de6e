"""Convert the saved artifact to TensorFlow Lite and run it, in a converter environment.

Inputs: saved/ (see converter/families/onnx_tf/convert.py), inputs.npz. Output: tflite.npz; the model itself is not
kept, the fact "tflite_mb" is its size. Params: {"select_tf_ops": true} to allow TensorFlow operators that TensorFlow
Lite lacks (absent: only its own).
"""

import json
import os
import sys
from types import SimpleNamespace

import numpy

from converter.arrays import in_order, read_cases, write_cases
from converter.signatures import match

_SIGNATURE = "serving_default"


def framework():
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    # TensorFlow up to 2.2 runs the converter as a program of the environment, found on the path.
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", os.defpath)
    import tensorflow

    return SimpleNamespace(tensorflow=tensorflow)


def tflite(job, packages, _):
    with open(job.given(os.path.join("saved", "names.json"))) as file:
        names = json.load(file)
    lite = packages.tensorflow.lite
    if names["kind"] == "saved-model":
        folder = job.given(os.path.join("saved", "model"))
        labels = _signature_tensors(folder, names)
        converter = lite.TFLiteConverter.from_saved_model(folder)
    else:
        labels = {side: {item["onnx"]: item["tensor"] for item in names[side]} for side in ("inputs", "outputs")}
        # From 2.0 on in compat.v1: tensorflow.lite no longer accepts frozen graphs.
        v1 = getattr(getattr(packages.tensorflow, "compat", packages.tensorflow), "v1", packages.tensorflow)
        path = job.given(os.path.join("saved", "graph.pb"))
        arrays = [[_plain(tensor) for tensor in labels[side].values()] for side in ("inputs", "outputs")]
        converter = v1.lite.TFLiteConverter.from_frozen_graph(path, *arrays)
    if job.params.get("select_tf_ops"):
        sets = [lite.OpsSet.TFLITE_BUILTINS, lite.OpsSet.SELECT_TF_OPS]
        if hasattr(converter, "target_spec"):
            converter.target_spec.supported_ops = sets
        else:  # TensorFlow 1.13
            converter.target_ops = set(sets)
    content = converter.convert()
    job.facts["tflite_mb"] = round(len(content) / 2.0**20, 3)
    return labels, content


def _signature_tensors(folder, names):
    """Return {"inputs": {ONNX name: tensor}, "outputs": ...} of a SavedModel: TensorFlow Lite uses tensor names."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    with open(os.path.join(folder, "saved_model.pb"), "rb") as file:
        saved.ParseFromString(file.read())
    signature = saved.meta_graphs[0].signature_def[_SIGNATURE]
    labels = {}
    for side, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        keys = match([item["onnx"] for item in names[side]], list(tensors))
        labels[side] = {name: tensors[key].name for name, key in keys.items()}
    return labels


def _plain(tensor):
    """Return the name in the converter's spelling, in which an operation's first output has the operation's name."""
    return tensor[:-2] if tensor.endswith(":0") else tensor


def invoke(job, packages, given):
    labels, content = given
    interpreter = packages.tensorflow.lite.Interpreter(model_content=content)
    results = []
    for case in read_cases(job.given("inputs.npz")):
        arrays = dict(zip(labels["inputs"], in_order(case, list(labels["inputs"]))))
        places = _places(labels["inputs"], interpreter.get_input_details())
        for name, place in places.items():
            interpreter.resize_tensor_input(place, arrays[name].shape)
        interpreter.allocate_tensors()
        for name, place in places.items():
            interpreter.set_tensor(place, arrays[name])
        interpreter.invoke()
        places = _places(labels["outputs"], interpreter.get_output_details())
        results.append({name: numpy.array(interpreter.get_tensor(place)) for name, place in places.items()})
    write_cases(job.made("tflite.npz"), results)


def _places(wanted, details):
    """Return {ONNX name: tensor index}, matched by name because the order differs between releases of the converter.

    Raises ValueError if a missing name could be any of several tensors.
    """
    found = {_plain(detail["name"]): detail["index"] for detail in details}
    places = {name: found.get(_plain(tensor)) for name, tensor in wanted.items()}
    lost = [name for name, place in places.items() if place is None]
    left = set(found.values()) - set(places.values())
    if len(lost) == 1 and len(left) == 1:
        places[lost[0]] = left.pop()
    elif lost:
        raise ValueError("which of %s is %s, TensorFlow Lite does not say" % (sorted(found), ", ".join(sorted(lost))))
    return places


STAGES = (tflite, invoke)
