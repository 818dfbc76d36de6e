"""The process that lives inside an environment and works off the jobs of one pass.

    PYTHON worker.py MODULE --inbox DIR --outbox DIR [--lifeline]

MODULE is one of converter, such as converter.stages.export; PASS is the last part of its name. A job is a file `NAME.json` in the inbox:

    {"schema": 1, "job": "<id>", "folder": "<name>", "params": {...}}

params["environ"], where there is one, are environment variables {NAME: value} set before the framework is imported;
its writer gives such a job a worker of its own, for they stay.

Its inputs are the files of `inbox/<folder>/`, its results go to `outbox/<folder>/`: the arrays and models of the
pass, `PASS.log` (all that was printed, by C code too), `PASS.json` (see converter/results.py), and at the very end
the empty `PASS.released`: everything the job held is given back and the worker is known to be well. A file named
`stop` in the inbox ends the worker, with exit status 0, once no job is left.

The inbox is never written to: it may be mounted read-only. The writer of a job renames it into place.
"""

import argparse
import gc
import importlib
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# A script's own folder comes first on the path, and there arrays.py or results.py would hide packages of that name.
sys.path[:] = [os.path.dirname(HERE)] + [entry for entry in sys.path if os.path.abspath(entry or ".") != HERE]

from converter import lifeline  # noqa: E402
from converter.capture import captured  # noqa: E402
from converter.job import Job  # noqa: E402
from converter.memory import peak_mb, reset_peak  # noqa: E402
from converter.results import Result, mark  # noqa: E402
from converter.versions import disk_mb, installed  # noqa: E402

POLL_SECONDS = 0.015


class Framework:
    """The stage module of a pass and the packages it works with, imported at the first job and shared by the rest."""

    def __init__(self, module):
        self.module = module
        self.name = module.rpartition(".")[2]
        self.failure = None
        self.tried = False
        self.stages = None
        self.packages = None
        self.disk_mb = None

    def load(self):
        # The stage module is part of it: it imports numpy, which an environment may lack or have broken.
        self.stages = importlib.import_module(self.module)
        self.packages = self.stages.framework()
        self.disk_mb = disk_mb()

    def import_into(self, result):
        """Runs, or repeats the outcome of, the stage `import`. A failed import is not tried again: half-imported
        packages answer a second attempt with another, misleading error."""
        if self.tried:
            result.repeat("import", self.failure)
            return
        self.tried = True
        result.attempt("import", self.load)
        self.failure = result.error


def work(framework, spec, inbox, outbox):
    """Runs one job from its first stage to its released marker."""
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
        # TensorFlow graphs and torch modules are full of cycles: without this they stay, and add up.
        gc.collect()
    mark(os.path.join(folder, framework.name + ".released"))


def next_job(inbox, taken):
    """Path of the first job of the inbox that is not taken yet, None where there is none, False at the end."""
    # Looked at before the folder is listed: whatever was put in before `stop` is then sure to be in the list.
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
    parser = argparse.ArgumentParser(description="Work off the jobs of one pass inside an environment.")
    parser.add_argument("module", metavar="MODULE", help="what does the pass, such as converter.stages.export")
    parser.add_argument("--inbox", required=True, metavar="DIR")
    parser.add_argument("--outbox", required=True, metavar="DIR")
    parser.add_argument("--lifeline", action="store_true", help="exit with status 75 when standard input ends")
    options = parser.parse_args()
    if options.lifeline:
        lifeline.hold()
    if not options.module.startswith("converter."):
        parser.error("%s is no module of converter" % options.module)
    serve(options.module, options.inbox, options.outbox)


if __name__ == "__main__":
    main()
