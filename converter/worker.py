"""The process that runs inside an environment and executes the jobs of one pass.

    PYTHON worker.py MODULE --inbox DIR --outbox DIR [--lifeline]

MODULE is a module of converter, such as converter.stages.export; PASS is the last part of its name. A job is a file
`NAME.json` in the inbox:

    {"schema": 1, "job": "<id>", "folder": "<name>", "params": {...}}

params["environ"], if present, holds environment variables {NAME: value} to set before the framework is imported. They
stay set, so the driver starts a separate worker for such a job.

A job's inputs are the files of `inbox/<folder>/`; its results go to `outbox/<folder>/`: the arrays and models of the
pass, `PASS.log` (everything printed, including by C code), `PASS.json` (see converter/results.py), and finally the
empty `PASS.released`, which says that the job's memory was released and the worker is healthy. A file named `stop` in
the inbox makes the worker exit with status 0 once no job is left.

The worker never writes to the inbox, which may be mounted read-only. The driver renames each job into place.
"""

import argparse
import gc
import importlib
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# A script's own folder comes first on the path: our arrays.py or results.py would shadow packages of that name.
sys.path[:] = [os.path.dirname(HERE)] + [entry for entry in sys.path if os.path.abspath(entry or ".") != HERE]

from converter import lifeline  # noqa: E402
from converter.capture import captured  # noqa: E402
from converter.job import Job  # noqa: E402
from converter.memory import peak_mb, reset_peak  # noqa: E402
from converter.results import Result, mark  # noqa: E402
from converter.versions import disk_mb, installed  # noqa: E402

POLL_SECONDS = 0.015


class Framework:
    """The stage module of a pass and the packages it uses, imported for the first job and shared by the rest."""

    def __init__(self, module):
        self.module = module
        self.name = module.rpartition(".")[2]
        self.failure = None
        self.tried = False
        self.stages = None
        self.packages = None
        self.disk_mb = None

    def load(self):
        # An import makes millions of objects, and no garbage. Kept out of every later collection, they no longer cost a
        # tenth of the time of a conversion.
        gc.disable()
        try:
            # The stage module is included: it imports numpy, which may be missing or broken.
            self.stages = importlib.import_module(self.module)
            self.packages = self.stages.framework()
            freeze = getattr(gc, "freeze", None)  # exists from Python 3.7 on
            if freeze is not None:
                freeze()
        finally:
            gc.enable()
            gc.set_threshold(20000)
        self.disk_mb = disk_mb()

    def import_into(self, result):
        """Run the stage `import`, or repeat its outcome. A failed import is not retried: half-imported packages would
        raise a different, misleading error."""
        if self.tried:
            result.repeat("import", self.failure)
            return
        self.tried = True
        result.attempt("import", self.load)
        self.failure = result.error


def work(framework, spec, inbox, outbox):
    """Run one job from its first stage to its `released` marker."""
    folder = os.path.join(outbox, spec["folder"])
    os.makedirs(folder, exist_ok=True)
    job = Job(spec["params"], os.path.join(inbox, spec["folder"]), folder)
    result = Result(os.path.join(folder, framework.name + ".json"), spec["job"], framework.name, job)
    with captured(os.path.join(folder, framework.name + ".log")):
        reset_peak()
        os.environ.update(spec["params"].get("environ") or {})
        framework.import_into(result)
        if not result.error:
            value = None
            for stage in framework.stages.STAGES:
                value = result.attempt(stage.__name__, stage, job, framework.packages, value)
                if result.error:
                    break
            del value
        result.finish(installed(), peak_mb(), framework.disk_mb)
        # TensorFlow graphs and torch modules contain reference cycles; uncollected, they accumulate.
        gc.collect()
    mark(os.path.join(folder, framework.name + ".released"))


def next_job(inbox, taken):
    """Return the path of the first new job in the inbox, None if there is none yet, False if there will be none."""
    # Checked before the folder is listed, so that every job written before `stop` is in the list.
    stop = os.path.exists(os.path.join(inbox, "stop"))
    for name in sorted(os.listdir(inbox)):
        if name.endswith(".json") and name not in taken:
            taken.add(name)
            return os.path.join(inbox, name)
    return False if stop else None


def serve(module, inbox, outbox):
    framework = Framework(module)
    taken: set = set()
    while True:
        path = next_job(inbox, taken)
        if path is False:
            return
        if path is None:
            time.sleep(POLL_SECONDS)
            continue
        with open(path, encoding="utf-8") as file:
            spec = json.load(file)
        if spec["schema"] != 1:
            raise ValueError("%s has schema %r, this worker knows 1" % (path, spec["schema"]))
        work(framework, spec, inbox, outbox)


def main():
    parser = argparse.ArgumentParser(description="Execute the jobs of one pass inside an environment.")
    parser.add_argument(
        "module", metavar="MODULE", help="module that implements the pass, such as converter.stages.export"
    )
    parser.add_argument("--inbox", required=True, metavar="DIR")
    parser.add_argument("--outbox", required=True, metavar="DIR")
    parser.add_argument("--lifeline", action="store_true", help="exit with status 75 when standard input ends")
    options = parser.parse_args()
    if options.lifeline:
        lifeline.hold()
    if not options.module.startswith("converter."):
        parser.error("%s is not a module of converter" % options.module)
    serve(options.module, options.inbox, options.outbox)


if __name__ == "__main__":
    main()
