"""ONNX -> TensorFlow by onnx-tf, in a converter environment. Outputs: those of the converted model in memory
(memory.npz) and the artifact a user would ship (saved/).

Inputs: model.onnx, inputs.npz. The model is used unmodified: how onnx-tf reacts is the result.
saved/ holds graph.pb (a frozen graph, onnx-tf up to 1.6) or model/ (a SavedModel, from 1.7), and names.json:
    {"kind": "frozen-graph" | "saved-model", "inputs": [{"onnx", "tensor"}], "outputs": [{"onnx", "tensor"}]}
where "tensor" is a name in the frozen graph; null for a SavedModel, whose signature has different names.
"""

import json
import os
from types import SimpleNamespace

import numpy

from converter import graph
from converter.arrays import in_order, read_cases, write_cases
from converter.families.onnx_tf import fresh, session

SAVED = "saved"


def framework():
    # If onnx-tf sees a GPU it keeps the channels-first layout, which no CPU can run.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import tensorflow  # isort: skip
    import onnx
    import onnx.checker

    fresh.backend()
    return SimpleNamespace(tensorflow=tensorflow, onnx=onnx)


def load(job, packages, _):
    model = packages.onnx.load(job.given("model.onnx"))
    facts = graph.describe(model)
    job.facts.update(opset=facts["opset_written"], ir_version=facts["ir_version"])
    return model


def check(job, packages, model):
    packages.onnx.checker.check_model(model)
    return model


def convert(job, packages, model):
    return model, fresh.backend().prepare(model, device="CPU")


def run(job, packages, converted):
    model, representation = converted
    if getattr(representation, "tf_module", None) is None:
        session.keep()
    cases = []
    for case in read_cases(job.given("inputs.npz")):
        fed = in_order(case, graph.inputs(model))
        values = representation.run(fed)
        cases.append({name: numpy.asarray(value) for name, value in zip(graph.outputs(model), values)})
    write_cases(job.made("memory.npz"), cases)
    job.facts.update(
        inputs=_describe(zip(graph.inputs(model), fed)),
        outputs=_describe(cases[-1].items()),
    )
    return converted


def _describe(named):
    return [{"name": name, "shape": list(array.shape), "dtype": str(array.dtype)} for name, array in named]


def save(job, packages, converted):
    model, representation = converted
    folder = os.path.join(job.outbox, SAVED)
    os.makedirs(folder)
    path = os.path.join(folder, "model")
    representation.export_graph(path)
    frozen = os.path.isfile(path)
    if frozen:
        os.rename(path, os.path.join(folder, "graph.pb"))
        named = graph.inputs(model) + graph.outputs(model)
        tensors = _tensors_of(named, representation, os.path.join(folder, "graph.pb"), packages.tensorflow)
    else:
        tensors = {}
    names = {
        "kind": "frozen-graph" if frozen else "saved-model",
        "inputs": [{"onnx": name, "tensor": tensors.get(name)} for name in graph.inputs(model)],
        "outputs": [{"onnx": name, "tensor": tensors.get(name)} for name in graph.outputs(model)],
    }
    with open(os.path.join(folder, "names.json"), "w") as file:
        json.dump(names, file, indent=1)
    size = 0
    for place, _, files in os.walk(folder):
        for name in files:
            size += os.path.getsize(os.path.join(place, name))
            job.made(os.path.relpath(os.path.join(place, name), job.outbox))
    job.facts.update(saved=names["kind"], artifacts=[names["kind"]], saved_mb=round(size / 2.0**20, 3))


def _tensors_of(names, representation, path, tensorflow):
    """Return {ONNX name: tensor name in the frozen graph}. onnx-tf 1.5 and 1.6 rename output nodes while writing the
    file, so names are checked against the file."""
    proto = session.v1_of(tensorflow).GraphDef()
    with open(path, "rb") as file:
        proto.ParseFromString(file.read())
    nodes = {node.name for node in proto.node}
    # onnx-tf before 1.2 nests the names one level deeper.
    holder = getattr(representation, "predict_net", representation)
    tensors = {}
    for name in names:
        tensor = holder.tensor_dict[name].name
        node, _, port = tensor.partition(":")
        tensors[name] = tensor if node in nodes else "%s:%s" % (name, port)
    return tensors


STAGES = (load, check, convert, run, save)
