#!/usr/bin/env python3
"""Convert the model to TensorFlow as it was measured, and compare the numbers.

toolkit/conversion.json describes the conversion; each of its passes runs in the environment it was measured in. This
file needs Python 3.6 or newer, and nothing but the standard library. It exits with 0 for a match only, with 1 if the
conversion failed or its numbers differ, with 2 if an option or file has to be corrected first.
"""
import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(os.path.abspath(__file__)).parent
TOOLKIT = HERE / "toolkit"
sys.path.insert(0, str(TOOLKIT))

from worker_client import WorkerJob, worker_variables  # noqa: E402

REPORT, LOG = "report.json", "log.txt"

# Made by tools; no model is imported from them.
LEFT_OUT = ("__pycache__", "node_modules")


class WrongUsage(Exception):
    """An option or a file that the user has to correct first; nothing was converted."""


class Failed(Exception):
    """A pass that failed or crashed, or numbers that cannot be compared."""


def main():
    conversion = json.loads((TOOLKIT / "conversion.json").read_text(encoding="utf-8"))
    try:
        options = parse(conversion)
        pythons = {role: interpreter(role, conversion, options) for role in conversion["pythons"]}
        check(conversion, options)
        claim(options.output)
        return FolderConversion(conversion, options, pythons).convert()
    except WrongUsage as error:
        say(str(error))
        return 2
    except OSError as error:
        say("%s: %s" % (error.filename or "a file", error.strerror or error))
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130


class FolderConversion:
    """The passes of `conversion`, in its Pythons by role; the user's files go through `given`, each pass has `work`."""

    def __init__(self, conversion, options, pythons):
        self.conversion, self.options, self.pythons = conversion, options, pythons
        self.output = options.output
        self.given, self.work = self.output / "given", self.output / "work"
        self.log = None
        self.document = {"cell": conversion["cell"], "match": False, "passes": [], "notes": []}

    def convert(self):
        document = self.document
        self.write_report()
        try:
            with (self.output / LOG).open("wb") as self.log:
                self.lay_out()
                for step in self.conversion["steps"]:
                    say("%s ..." % step["pass"])
                    document["passes"].append(self.run(step))
                self.note_another_file()
                document["comparisons"] = self.compare()
        except Failed as failed:
            document["failure"] = str(failed)
        finally:
            for folder in (self.work, self.given):
                shutil.rmtree(str(folder), ignore_errors=True)
        document["sentence"] = self.conclude()
        self.write_report()
        for note in document["notes"]:
            say("note: " + note)
        print("%s (%s)" % (document["sentence"], self.output))
        return 0 if document["match"] else 1

    def write_report(self):
        (self.output / REPORT).write_text(json.dumps(self.document, indent=1, sort_keys=True), encoding="utf-8")

    def conclude(self):
        """Return the result in one sentence, and set `match`."""
        if "failure" in self.document:
            return "NOT CONVERTED: %s; see %s" % (self.document["failure"], LOG)
        compared = self.document["comparisons"]
        for item in compared:
            if item["wrong"]:
                return "MISMATCH: %s: %s" % (item["what"], item["wrong"])
        self.document["match"] = True
        return "MATCH: %s computed what %s, %d numbers each, at most %.3g apart, %.1f %% of the tolerance" % (
            " and ".join(item["what"] for item in compared),
            {"what torch computed": "torch did", "the reference": "the reference did"}[self.conversion["expected"]],
            compared[0]["elements"],
            max(item["max_abs"] for item in compared),
            100 * max(item["used"] for item in compared),
        )

    def run(self, step):
        """Run one pass in its own process, and return what is worth keeping of its report. Raises Failed."""
        name, python = step["pass"], self.pythons[step["role"]]
        shutil.rmtree(str(self.work), ignore_errors=True)
        job = WorkerJob(str(self.work))
        for place, source in step["takes"].items():
            copy([self.given / source, self.output / source], Path(job.given, place))
        command = [python, str(TOOLKIT / "converter" / "worker.py"), step["module"]]
        variables = self.begin(name, job.scratch)
        status = started(python, job.run, command, step["params"], variables, self.log)
        printed = Path(job.made, name + ".log")
        if printed.exists():
            self.log.write(printed.read_bytes())
        report = job.report(name) or {}
        error = report.get("error")
        if error:
            self.log.write(error["traceback"].encode("utf-8", "replace"))
            stage = report["stages"][-1]["stage"]
            raise Failed("%s failed at %s: %s: %s" % (name, stage, error["type"], first_line(error["message"])))
        if status != 0 or not report.get("done"):
            raise Failed("%s ended %s" % (name, "by signal %d" % -status if status < 0 else "with status %d" % status))
        self.note_differing(step["role"], report["versions"])
        for made, target in step["leaves"].items():
            if Path(job.made, made).exists():
                remove(self.output / target)
                Path(job.made, made).rename(self.output / target)
        return {"pass": name, "facts": report["facts"], "versions": report["versions"]}

    def begin(self, name, scratch):
        """Begin a part of the log, and return the environment variables of a process."""
        self.log.write(("=== %s\n" % name).encode())
        self.log.flush()
        return worker_variables(**dict(self.conversion["environ"], TMPDIR=str(scratch)))

    def call(self, name, folder, *words):
        """Run compare_numbers.py, in a Python that has numpy, and return whether it succeeded. Raises Failed."""
        python = self.pythons["converter"]
        command = [python, str(TOOLKIT / "compare_numbers.py")] + [str(word) for word in words]
        streams = {"stdin": subprocess.DEVNULL, "stdout": self.log, "stderr": self.log}
        variables = self.begin(name, folder)
        return started(python, subprocess.call, command, env=variables, cwd=str(folder), **streams) == 0

    def compare(self):
        """Return the comparison of each file of outputs. Raises Failed."""
        rule, result = self.work / "rule.json", self.work / "result.json"
        rule.write_text(json.dumps(self.conversion["tolerances"]))
        compared = self.conversion["compared"]
        files = [self.output / name for name in ["expected.npz"] + [name for name, _ in compared]]
        if not self.call("compare", self.output, "compare", rule, result, *files):
            raise Failed("the numbers could not be compared")
        return [dict(item, what=what) for item, (_, what) in zip(json.loads(result.read_text()), compared)]

    def lay_out(self):
        """Put the user's files and the drawn inputs where the passes look for them. Raises WrongUsage and Failed."""
        copy([TOOLKIT / "given"], self.output)
        for option, item in sorted(self.conversion["user"].items(), key=lambda pair: pair[0] != "source"):
            path, target = getattr(self.options, option), self.given / item["place"]
            if item["place"].endswith(".npz"):
                self.given.mkdir(exist_ok=True)
                if not self.call(option, self.given, "gather", path, target):
                    raise WrongUsage("%s is not an .npz file of plain arrays, or cannot be read" % path)
                copy([target], self.output / item["place"])
            else:
                copy([Path(path)], target)

    def note_differing(self, role, installed):
        """Note packages whose versions are not those measured."""
        locked = self.conversion["packages"][role]
        wrong = sorted(name for name in locked if installed.get(name) != locked[name])
        words = ", ".join("%s %s, not %s" % (name, installed.get(name, "missing"), locked[name]) for name in wrong)
        note = "the %s environment is not the one that was measured: %s" % (role, words)
        if wrong and note not in self.document["notes"]:
            self.document["notes"].append(note)

    def note_another_file(self):
        measured = self.conversion["model_onnx_sha256"]
        if measured and hashlib.sha256((self.output / "model.onnx").read_bytes()).hexdigest() != measured:
            note = "model.onnx is not byte for byte the one measured: other weights, or another machine"
            self.document["notes"].append(note)


def started(python, call, *arguments, **options):
    """Return call(...), which starts `python`. Raises Failed if that cannot be started."""
    try:
        return call(*arguments, **options)
    except OSError as error:
        raise Failed("%s did not start: %s" % (python, error.strerror))


def copy(places, target):
    """Copy the file or folder at the first of these places that exists; copy nothing if none does."""
    source = next((path for path in places if os.path.exists(str(path))), None)
    if source is None:
        return
    if not source.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(source), str(target))
        return
    for place, folders, names in os.walk(str(source)):
        folders[:] = [name for name in folders if wanted(place, name)]
        for name in names:
            if not name.startswith(".") and not name.endswith(".pyc"):
                copy([Path(place, name)], target / os.path.relpath(place, str(source)) / name)


def wanted(place, name):
    """Whether a folder of source is neither hidden, nor a cache, nor a virtual environment."""
    hidden = name.startswith(".") or name in LEFT_OUT
    # Path.exists raises for a folder that may not be entered.
    return not hidden and not os.path.exists(os.path.join(place, name, "pyvenv.cfg"))


def check(conversion, options):
    """Raise WrongUsage for a file that does not exist, or a checkpoint that may not be loaded."""
    for option in conversion["user"]:
        path = getattr(options, option)
        if not os.path.exists(path):
            raise WrongUsage("%s does not exist; say where it is now: --%s" % (path, option))
    for step in conversion["steps"]:
        checkpoint = step["params"].get("checkpoint") or {}
        if checkpoint.get("trusted") and not (options.trust_checkpoint or conversion["trusted"]):
            raise WrongUsage(
                "this torch cannot load a checkpoint without running code that may be in it; "
                "if you trust the file, use --trust-checkpoint"
            )


def interpreter(role, conversion, options):
    """Return the Python of an environment: as given, or from its usual places. Raises WrongUsage."""
    given = getattr(options, role + "_python")
    if given is not None:
        found = shutil.which(given)
        if found is None:
            raise WrongUsage("--%s-python %s: no such program" % (role, given))
        return os.path.abspath(found)
    places = conversion["pythons"][role]
    for place in places:
        if (HERE / place / "bin" / "python").exists():
            return str(HERE / place / "bin" / "python")
    raise WrongUsage(
        "the %s environment is in none of %s; make it as EVIDENCE.md says, or name it: --%s-python PATH"
        % (role, ", ".join(places), role)
    )


def claim(output):
    """Make or empty the folder. Raises WrongUsage if it holds files that this program did not write."""
    output.mkdir(parents=True, exist_ok=True)
    there = list(output.iterdir())
    if there and not (output / REPORT).is_file():
        raise WrongUsage("%s holds other files; choose another folder: --output" % output)
    for path in there:
        remove(path)


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(str(path))
    elif os.path.lexists(str(path)):
        path.unlink()


def first_line(text):
    lines = text.strip().splitlines()
    return lines[0][:300] if lines else "(no message)"


def parse(conversion):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option, item in sorted(conversion["user"].items()):
        words = item["about"] + "; default: %(default)s"
        paths = {"metavar": "PATH", "type": os.path.abspath, "default": item["default"]}
        parser.add_argument("--" + option, dest=option, help=words, **paths)
    for role, places in sorted(conversion["pythons"].items()):
        words = "default: bin/python of the first of " + ", ".join(places)
        parser.add_argument("--%s-python" % role, metavar="PATH", help=words)
    parser.add_argument("--output", metavar="DIR", type=absolute, default=HERE / "converted", help="%(default)s")
    words = "let a checkpoint run code, if this torch has no other way"
    parser.add_argument("--trust-checkpoint", action="store_true", help=words)
    return parser.parse_args()


def absolute(text):
    return Path(os.path.abspath(text))


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
