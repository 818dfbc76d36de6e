"""Run one backend test case in a separate process. Since that may die at any step, it updates these files in its
scratch folder after each:

    report.json   {"opsets", "ir_version", "operators", "uses" (see converter/graph.py), "stage", "done", "error",
                  "outputs"}, see measuring.py
    expected.npz, actual.npz   keys are the names of tensors; those of data sets after the first begin "<set>:"
"""

import json
import os

import numpy

from converter import failure, graph
from converter.backend.cases import data_sets, flat

REPORT, EXPECTED, ACTUAL, LOG = "report.json", "expected.npz", "actual.npz", "log"
_TRACEBACK_LIMIT = 2000


def attempt(case, packages, prepare, scratch):
    """Take the Case through load, check, convert and run, recording exceptions in the report.

    `packages` has .onnx; `prepare(packages, model)` returns the converted model as a function from inputs to outputs,
    both in the model's order.
    """
    report: dict = {"stage": "load", "done": False, "error": None}

    def reach(stage):
        report["stage"] = stage
        _keep(report, scratch)

    try:
        reach("load")
        model = packages.onnx.load(os.path.join(case.folder, "model.onnx"))
        facts = graph.describe(model)
        report.update((name, facts[name]) for name in ("opsets", "ir_version", "operators", "uses"))
        names = graph.outputs(model)
        report["outputs"] = names
        sets = data_sets(packages.onnx, case, model)
        _save(os.path.join(scratch, EXPECTED), names, [outputs for _, outputs in sets])
        reach("check")
        packages.onnx.checker.check_model(model)
        reach("convert")
        run = prepare(packages, model)
        reach("run")
        _save(os.path.join(scratch, ACTUAL), names, [run(inputs) for inputs, _ in sets])
        report["done"] = True
    except BaseException as problem:
        report["error"] = failure.describe(problem)
        report["error"]["traceback"] = report["error"]["traceback"][-_TRACEBACK_LIMIT:]
    _keep(report, scratch)


def _keep(report, scratch):
    path = os.path.join(scratch, REPORT)
    with open(path + ".tmp", "w") as file:
        json.dump(report, file)
    os.replace(path + ".tmp", path)


def _save(path, names, sets):
    tensors = {}
    for number, values in enumerate(sets):
        for name, value in zip(names, values):
            tensors.update(flat("%d:%s" % (number, name) if number else name, value))
    with open(path + ".tmp", "wb") as file:
        numpy.savez(file, **tensors)
    os.replace(path + ".tmp", path)
