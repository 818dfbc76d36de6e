"""Which operators onnx-tf gets right, in a converter environment: the backend test cases that its own onnx package
ships are converted and run, each in a process of its own. Nothing is compared here.

Parameters, none of them needed: "case_seconds" and "case_mb" (MiB), the limits of one case; "parallel", how many at
once; "only", names of cases.

Outputs: cases.json, where "exit" is null for a case whose process ended in order, and "printed" the end of what one
printed that did not:
    {"schema": 1, "onnx", "onnx_tf", "opset": the newest that this onnx knows,
     "cases": [{"name", "suite", "opsets", "ir_version", "operators", "uses", "outputs": [name],
                "stage": "load" | "check" | "convert" | "run", "done", "error": null | see converter/failure.py,
                "exit": null | {"code", "signal"}, "stopped": null | "timeout" | "memory", "printed", "seconds"}],
     "handlers": {operator: [version]}, "schemas": {operator: [version]}}    see claims.py
and expected.npz, actual.npz, with keys "<position of the case in cases>/<tensor>", see converter/backend/trial.py.
"""
import contextlib
import functools
import json
import os
import shutil
import sys
from types import SimpleNamespace

import numpy

from converter.arrays import write_cases
from converter.backend import trial
from converter.backend.alone import each_alone
from converter.backend.cases import shipped
from converter.families.onnx_tf import claims, convert
from converter.families.onnx_tf.warm import Warmth
from converter.results import write_atomically
from converter.versions import installed

CASE_SECONDS = 30
CASE_MB = 3072
# Room for the stacks that faulthandler prints, whose list of extension modules alone is long.
_PRINTED_LIMIT = 20000
_UNREAD = {"opsets": {}, "ir_version": None, "operators": {}, "uses": [], "outputs": []}


def framework():
    packages = convert.framework()
    import onnx.defs
    import onnx.numpy_helper
    import onnx_tf.backend

    return SimpleNamespace(
        tensorflow=packages.tensorflow, onnx=onnx, backend=onnx_tf.backend, started=_threads_started
    )


def _threads_started():
    """Whether TensorFlow 2 has set up what it runs operations with; False where it has no such thing."""
    context = sys.modules.get("tensorflow.python.eager.context")
    return bool(context and getattr(context.context(), "_initialized", False))


def load(job, packages, _):
    cases = shipped(packages.onnx)
    only = job.params.get("only")
    if only is not None:
        cases = [case for case in cases if case.name in only]
    suites = {}
    for case in cases:
        suites[case.suite] = suites.get(case.suite, 0) + 1
    versions = installed()
    job.facts.update(
        cases=len(cases),
        suites=suites,
        onnx=versions.get("onnx", packages.onnx.__version__),
        onnx_tf=versions.get("onnx-tf"),
    )
    return cases


def run(job, packages, cases):
    scratch = os.path.join(job.outbox, "scratch")
    folders = [os.path.join(scratch, str(number)) for number in range(len(cases))]
    try:
        for folder in folders:
            os.makedirs(folder)
        ends = _try(job, packages, cases, folders)
        for made, name in (("expected.npz", trial.EXPECTED), ("actual.npz", trial.ACTUAL)):
            write_cases(job.made(made), [_arrays(os.path.join(folder, name)) for folder in folders])
        return [_described(case, folders[number], ends[number]) for number, case in enumerate(cases)]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _try(job, packages, cases, folders):
    """{position of a case: how its process ended}."""
    tasks = [
        (number, functools.partial(trial.attempt, case, packages, folder), os.path.join(folder, trial.LOG))
        for number, (case, folder) in enumerate(zip(cases, folders))
    ]
    seconds, megabytes = job.params.get("case_seconds", CASE_SECONDS), job.params.get("case_mb", CASE_MB)
    warmth = Warmth(cases, packages, seconds, megabytes)
    ends = {}
    for number, end in each_alone(tasks, seconds, megabytes, job.params.get("parallel", 1)):
        ends[number] = end
        if end.code == 0 and os.path.exists(os.path.join(folders[number], trial.ACTUAL)):
            warmth.add(cases[number])
    job.facts.update(largest_case_mb=max([end.peak_mb for end in ends.values()] or [0]))
    return ends


def save(job, packages, described):
    handlers, source = claims.handlers()
    job.facts.update(handlers_from=source)
    content = {
        "schema": 1,
        "onnx": job.facts["onnx"],
        "onnx_tf": job.facts["onnx_tf"],
        "opset": packages.onnx.defs.onnx_opset_version(),
        "cases": described,
        "handlers": handlers,
        "schemas": claims.schemas(packages.onnx),
    }
    write_atomically(job.made("cases.json"), json.dumps(content, indent=1, sort_keys=True).encode("ascii"))


def _arrays(path):
    if not os.path.exists(path):
        return {}
    with numpy.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _described(case, folder, end):
    found = dict(_UNREAD, name=case.name, suite=case.suite, stage="load", done=False, error=None)
    with contextlib.suppress(OSError), open(os.path.join(folder, trial.REPORT)) as file:
        found.update(json.load(file))
    orderly = end.code == 0
    found.update(
        done=found["done"] and orderly,
        exit=None if orderly else {"code": end.code, "signal": end.signal},
        stopped=end.stopped,
        printed=None if orderly else _tail(os.path.join(folder, trial.LOG)),
        seconds=end.seconds,
    )
    return found


def _tail(path):
    text = ""
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    return text[-_PRINTED_LIMIT:]


STAGES = (load, run, save)
