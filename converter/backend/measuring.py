"""Run the backend test cases of an installed onnx package through a converter, each in a separate process, to measure a
family's operator coverage. Nothing is compared here.

A family's module `coverage` provides what is specific to it:

    framework()                     packages with .onnx and whatever `prepare` needs; each case is forked from here
    prepare(packages, model) -> run converts; run(inputs) returns the outputs, both lists in the model's order
    claims() -> (handlers, source)  {operator: [version]} that it claims to convert, and the module that declares them;
                                    ({}, None) if it claims nothing
    STAGES = stages("its-package", prepare, claims)

Optional parameters of the job: "case_seconds" and "case_mb" (MiB), the limits of one case; "parallel", how many at
once; "only", names of cases.

Outputs: cases.json, where "exit" is null for a case whose process ended normally; otherwise "printed" is the end of its
output:
    {"schema": 2, "onnx", "package": the converter's, "release": its version, "opset": the newest of this onnx,
     "cases": [{"name", "suite", "opsets", "ir_version", "operators", "uses", "outputs": [name],
                "stage": "load" | "check" | "convert" | "run", "done", "error": null | see converter/failure.py,
                "exit": null | {"code", "signal"}, "stopped": null | "timeout" | "memory", "printed", "seconds"}],
     "handlers": {operator: [version]}, "schemas": {operator: [version]}}    see schemas.py
and expected.npz, actual.npz, with keys "<position of the case in cases>/<tensor>", see trial.py.
"""

import contextlib
import functools
import json
import os
import shutil

import numpy

from converter.arrays import write_cases
from converter.backend import trial
from converter.backend.alone import each_alone
from converter.backend.cases import shipped
from converter.backend.schemas import schemas
from converter.results import write_atomically
from converter.versions import installed

CASE_SECONDS = 30
CASE_MB = 3072
# Large enough for faulthandler's output, whose list of extension modules is long.
_PRINTED_LIMIT = 20000
_UNREAD: dict = {"opsets": {}, "ir_version": None, "operators": {}, "uses": [], "outputs": []}


class NothingAhead:
    """The default of `ahead`: nothing is prepared in the parent."""

    def __init__(self, cases, packages, seconds, megabytes):
        pass

    def add(self, case):
        """Called in the parent with each case that succeeded."""


def stages(package, prepare, claims, ahead=NothingAhead):
    """Return the stages of a coverage pass. `package` is the converter's name on the index."""

    def load(job, packages, _):
        cases = shipped(packages.onnx)
        only = job.params.get("only")
        if only is not None:
            cases = [case for case in cases if case.name in only]
        suites: dict = {}
        for case in cases:
            suites[case.suite] = suites.get(case.suite, 0) + 1
        versions = installed()
        job.facts.update(
            cases=len(cases),
            suites=suites,
            onnx=versions.get("onnx", packages.onnx.__version__),
            package=package,
            release=versions.get(package),
        )
        return cases

    def run(job, packages, cases):
        scratch = os.path.join(job.outbox, "scratch")
        folders = [os.path.join(scratch, str(number)) for number in range(len(cases))]
        try:
            for folder in folders:
                os.makedirs(folder)
            ends = _try(job, packages, cases, folders, prepare, ahead)
            for made, name in (("expected.npz", trial.EXPECTED), ("actual.npz", trial.ACTUAL)):
                write_cases(job.made(made), [_arrays(os.path.join(folder, name)) for folder in folders])
            return [_described(case, folders[number], ends[number]) for number, case in enumerate(cases)]
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def save(job, packages, described):
        handlers, source = claims()
        job.facts.update(handlers_from=source)
        content = {
            "schema": 2,
            "onnx": job.facts["onnx"],
            "package": package,
            "release": job.facts["release"],
            "opset": packages.onnx.defs.onnx_opset_version(),
            "cases": described,
            "handlers": handlers,
            "schemas": schemas(packages.onnx),
        }
        write_atomically(job.made("cases.json"), json.dumps(content, indent=1, sort_keys=True).encode("ascii"))

    return load, run, save


def _try(job, packages, cases, folders, prepare, ahead):
    """Run all cases and return {position of a case: how its process ended}."""
    tasks = [
        (number, functools.partial(trial.attempt, case, packages, prepare, folder), os.path.join(folder, trial.LOG))
        for number, (case, folder) in enumerate(zip(cases, folders))
    ]
    seconds, megabytes = job.params.get("case_seconds", CASE_SECONDS), job.params.get("case_mb", CASE_MB)
    done_ahead = ahead(cases, packages, seconds, megabytes)
    ends = {}
    for number, end in each_alone(tasks, seconds, megabytes, job.params.get("parallel", 1)):
        ends[number] = end
        if end.code == 0 and os.path.exists(os.path.join(folders[number], trial.ACTUAL)):
            done_ahead.add(cases[number])
    job.facts.update(largest_case_mb=max([end.peak_mb for end in ends.values()] or [0]))
    return ends


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
