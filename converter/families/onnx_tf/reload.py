"""Load and run the saved artifact in a process that never held the converted model, as a user of the file would.

Inputs: saved/ (see convert.py), inputs.npz. Output: reloaded.npz. Fact: "inference_seconds", the fastest call, without
the first, in which TensorFlow warms up.
"""

import json
import os
from types import SimpleNamespace

import numpy

from converter.arrays import in_order, read_cases, write_cases
from converter.families.onnx_tf import session
from converter.signatures import match
from converter.watch import Watch


def framework():
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import tensorflow

    return SimpleNamespace(tensorflow=tensorflow)


def reload(job, packages, _):
    with open(job.given(os.path.join("saved", "names.json"))) as file:
        names = json.load(file)
    cases = read_cases(job.given("inputs.npz"))
    runner = {"frozen-graph": _frozen_graph, "saved-model": _saved_model}[names["kind"]]
    watch = Watch()
    outputs = runner(job.given("saved"), names, cases, packages.tensorflow, watch)
    write_cases(job.made("reloaded.npz"), outputs)
    job.facts["inference_seconds"] = watch.fastest()


def _frozen_graph(folder, names, cases, tensorflow, watch):
    v1 = session.v1_of(tensorflow)
    proto = v1.GraphDef()
    with open(os.path.join(folder, "graph.pb"), "rb") as file:
        proto.ParseFromString(file.read())
    graph = tensorflow.Graph()
    with graph.as_default():
        tensorflow.import_graph_def(proto, name="")
    inputs = [item["onnx"] for item in names["inputs"]]
    placeholders = [item["tensor"] for item in names["inputs"]]
    fetched = [output["tensor"] for output in names["outputs"]]
    outputs = []
    with session.opened(v1, graph=graph) as running:
        for case in cases:
            values = watch.call(running.run, fetched, dict(zip(placeholders, in_order(case, inputs))))
            outputs.append({item["onnx"]: numpy.asarray(value) for item, value in zip(names["outputs"], values)})
    return outputs


def _saved_model(folder, names, cases, tensorflow, watch):
    # Keep the module: a signature does not keep its variables alive.
    module = tensorflow.saved_model.load(os.path.join(folder, "model"))
    signature = module.signatures["serving_default"]
    inputs = [item["onnx"] for item in names["inputs"]]
    wanted = [item["onnx"] for item in names["outputs"]]
    parameters = match(inputs, list(signature.structured_input_signature[1]))
    keys = match(wanted, list(signature.structured_outputs))
    outputs = []
    for case in cases:
        given = zip(inputs, in_order(case, inputs))
        fed = {parameters[name]: tensorflow.constant(array) for name, array in given}
        values = watch.call(signature, **fed)
        outputs.append({name: values[keys[name]].numpy() for name in wanted})
    return outputs


STAGES = (reload,)
