"""Runs a model and wrong copies of it in ONNX Runtime, inside the reference environment.

    PYTHON onnx_mutations.py MODEL.onnx INPUTS.npz OUTDIR

Writes OUTDIR/<name>.npz, keys `<case>/<output>`, for the model `unchanged` and for each fault that applies to it;
prints a JSON object of their names with the number of places each was made at. A copy that ONNX Runtime refuses to run
is an error of this script: it would be no conversion, right or wrong.
"""

import copy
import json
import sys
from pathlib import Path

import numpy
import onnx
import onnx_faults
import onnx_faults_of_images
import onnx_faults_of_sequences
import onnxruntime
from onnx_editing import Graph

FAULTS = {**onnx_faults.FAULTS, **onnx_faults_of_images.FAULTS, **onnx_faults_of_sequences.FAULTS}


def run(model, cases):
    """The outputs of every case, as `<case>/<output>`."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # a wrong copy's shapes are not those its file was written with
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    arrays = {}
    for case, feed in cases.items():
        arrays.update({f"{case}/{name}": value for name, value in zip(names, session.run(names, feed), strict=True)})
    return arrays


def main(path, inputs, folder):
    original = onnx.load(path)
    cases = {}
    with numpy.load(inputs) as file:
        for key in file.files:
            case, _, name = key.partition("/")
            cases.setdefault(case, {})[name] = file[key]
    numpy.savez(Path(folder) / "unchanged.npz", **run(original, cases))
    made = {}
    for name, fault in FAULTS.items():
        model = copy.deepcopy(original)
        changes = list(fault(Graph(model)))
        for change in changes:
            change()
        if not changes:
            continue
        made[name] = len(changes)
        del model.graph.value_info[:]  # written for the right one
        numpy.savez(Path(folder) / f"{name}.npz", **run(model, cases))
    print(json.dumps(made))


if __name__ == "__main__":
    main(*sys.argv[1:])
