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

HERE = os.path.dirname(os.path.abspath(__file__))
TOOLKIT = os.path.join(HERE, "toolkit")
sys.path.insert(0, TOOLKIT)

from worker_client import WorkerJob, worker_variables  # noqa: E402

REPORT, LOG, WORK, GIVEN = "report.json", "log.txt", "work", "given"

# Made by tools; no model is imported from them.
LEFT_OUT = ("__pycache__", "node_modules")


class WrongUsage(Exception):
    """An option or a file that the user has to correct first; nothing was converted."""


class Failed(Exception):
    """A pass that failed or crashed, or numbers that cannot be compared."""


def main():
    with open(os.path.join(TOOLKIT, "conversion.json"), encoding="utf-8") as file:
        conversion = json.load(file)
    try:
        options = parse(conversion)
        pythons = {role: interpreter(role, conversion, options) for role in conversion["pythons"]}
        check_files(conversion, options)
        check_trust(conversion, options)
        claim(options.output)
        return convert(conversion, options, pythons)
    except WrongUsage as error:
        say(str(error))
        return 2
    except OSError as error:
        say("%s: %s" % (error.filename or "a file", error.strerror or error))
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130


def convert(conversion, options, pythons):
    output = options.output
    document = {"cell": conversion["cell"], "match": False, "passes": [], "notes": []}
    write_json(os.path.join(output, REPORT), document)
    try:
        with open(os.path.join(output, LOG), "wb") as log:
            lay_out(conversion, options, pythons, log)
            for step in conversion["steps"]:
                say("%s ..." % step["pass"])
                document["passes"].append(run(step, conversion, pythons[step["role"]], output, log, document["notes"]))
            note_another_file(conversion, output, document["notes"])
            document["comparisons"] = compare(conversion, pythons["converter"], output, log)
    except Failed as failed:
        document["failure"] = str(failed)
    finally:
        for name in (WORK, GIVEN):
            shutil.rmtree(os.path.join(output, name), ignore_errors=True)
    sentence = conclude(conversion, document)
    document["sentence"] = sentence
    write_json(os.path.join(output, REPORT), document)
    for note in document["notes"]:
        say("note: " + note)
    print("%s (%s)" % (sentence, output))
    return 0 if document["match"] else 1


def conclude(conversion, document):
    """Return the result in one sentence, and set `match`."""
    if "failure" in document:
        return "NOT CONVERTED: %s; see %s" % (document["failure"], LOG)
    wrong = [item for item in document["comparisons"] if item["wrong"]]
    if wrong:
        return "MISMATCH: %s: %s" % (wrong[0]["what"], wrong[0]["wrong"])
    document["match"] = True
    farthest = max(item["max_abs"] for item in document["comparisons"])
    used = max(item["used"] for item in document["comparisons"])
    return "MATCH: %s computed what %s, %d numbers each, at most %.3g apart, %.1f %% of the tolerance" % (
        " and ".join(item["what"] for item in document["comparisons"]),
        {"what torch computed": "torch did", "the reference": "the reference did"}[conversion["expected"]],
        document["comparisons"][0]["elements"],
        farthest,
        100 * used,
    )


def run(step, conversion, python, output, log, notes):
    """Run one pass in its own process, and return what is worth keeping of its report. Raises Failed."""
    name = step["pass"]
    shutil.rmtree(os.path.join(output, WORK), ignore_errors=True)
    job = WorkerJob(os.path.join(output, WORK))
    for place, source in step["takes"].items():
        copy([os.path.join(output, GIVEN, source), os.path.join(output, source)], os.path.join(job.given, place))
    command = [python, os.path.join(TOOLKIT, "converter", "worker.py"), step["module"]]
    begin(log, name)
    try:
        status = job.run(command, step["params"], variables(conversion, job.scratch), log)
    except OSError as error:
        raise Failed("%s did not start: %s" % (python, error.strerror))
    add_to(log, os.path.join(job.made, name + ".log"))
    report = job.report(name) or {}
    error = report.get("error")
    if error:
        log.write(error["traceback"].encode("utf-8", "replace"))
        stage = report["stages"][-1]["stage"]
        raise Failed("%s failed at %s: %s: %s" % (name, stage, error["type"], first_line(error["message"])))
    if status != 0 or not report.get("done"):
        raise Failed("%s ended %s" % (name, "by signal %d" % -status if status < 0 else "with status %d" % status))
    found = differing(step["role"], report["versions"], conversion["packages"][step["role"]])
    notes.extend(note for note in found if note not in notes)
    for made, target in step["leaves"].items():
        move(os.path.join(job.made, made), os.path.join(output, target))
    return {"pass": name, "facts": report["facts"], "versions": report["versions"]}


def call(words, conversion, python, folder, log, name):
    """Run compare_numbers.py, and return its exit status. Raises Failed."""
    begin(log, name)
    command = [python, os.path.join(TOOLKIT, "compare_numbers.py")] + words
    environ = variables(conversion, folder)
    try:
        return subprocess.call(command, env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    except OSError as error:
        raise Failed("%s did not start: %s" % (python, error.strerror))


def begin(log, name):
    log.write(("=== %s\n" % name).encode())
    log.flush()


def variables(conversion, scratch):
    return worker_variables(**dict(conversion["environ"], TMPDIR=scratch))


def compare(conversion, python, output, log):
    """Return the comparison of each file of outputs, made in a Python that has numpy. Raises Failed."""
    rule = os.path.join(output, WORK, "rule.json")
    result = os.path.join(output, WORK, "result.json")
    write_json(rule, conversion["tolerances"])
    names = [name for name, _ in conversion["compared"]]
    files = [os.path.join(output, name) for name in ["expected.npz"] + names]
    if call(["compare", rule, result] + files, conversion, python, output, log, "compare") != 0:
        raise Failed("the numbers could not be compared")
    with open(result, encoding="utf-8") as file:
        return [dict(item, what=what) for item, (_, what) in zip(json.load(file), conversion["compared"])]


def lay_out(conversion, options, pythons, log):
    """Put the user's files and the drawn inputs where the passes look for them. Raises WrongUsage and Failed."""
    given = os.path.join(options.output, GIVEN)
    if os.path.isdir(os.path.join(TOOLKIT, "given")):
        for name in os.listdir(os.path.join(TOOLKIT, "given")):
            shutil.copyfile(os.path.join(TOOLKIT, "given", name), os.path.join(options.output, name))
    for option, item in sorted(conversion["user"].items(), key=lambda pair: pair[0] != "source"):
        path = given_path(options, option)
        target = os.path.join(given, item["place"])
        if item["place"].endswith(".npz"):
            os.makedirs(given, exist_ok=True)
            if call(["gather", path, target], conversion, pythons["converter"], given, log, option) != 0:
                raise WrongUsage("%s is not an .npz file of plain arrays, or cannot be read" % path)
            shutil.copyfile(target, os.path.join(options.output, item["place"]))
        else:
            copy([path], target)


def given_path(options, option):
    return getattr(options, option.replace("-", "_"))


def check_files(conversion, options):
    for option in conversion["user"]:
        path = given_path(options, option)
        if not os.path.exists(path):
            raise WrongUsage("%s does not exist; say where it is now: --%s" % (path, option))


def copy(places, target):
    """Copy the file or folder at the first of these places that exists; copy nothing if none does."""
    source = next((path for path in places if os.path.exists(path)), None)
    if source is None:
        return
    if not os.path.isdir(source):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)
        return
    for place, folders, names in os.walk(source):
        folders[:] = [name for name in folders if wanted(place, name)]
        for name in names:
            if not name.startswith(".") and not name.endswith(".pyc"):
                path = os.path.join(place, name)
                there = os.path.join(target, os.path.relpath(path, source))
                os.makedirs(os.path.dirname(there), exist_ok=True)
                shutil.copyfile(path, there)


def wanted(place, name):
    """Whether a folder of source is neither hidden, nor a cache, nor a virtual environment."""
    hidden = name.startswith(".") or name in LEFT_OUT
    return not hidden and not os.path.exists(os.path.join(place, name, "pyvenv.cfg"))


def differing(role, installed, locked):
    """Return a note on packages whose versions are not those measured, if there are any."""
    wrong = sorted(name for name in locked if installed.get(name) != locked[name])
    if not wrong:
        return []
    said = ", ".join("%s %s, not %s" % (name, installed.get(name, "missing"), locked[name]) for name in wrong)
    return ["the %s environment is not the one that was measured: %s" % (role, said)]


def note_another_file(conversion, output, notes):
    if conversion["model_onnx_sha256"] is None:
        return
    with open(os.path.join(output, "model.onnx"), "rb") as file:
        same = hashlib.sha256(file.read()).hexdigest() == conversion["model_onnx_sha256"]
    if not same:
        notes.append("model.onnx is not byte for byte the one measured: other weights, or another machine")


def check_trust(conversion, options):
    for step in conversion["steps"]:
        checkpoint = step["params"].get("checkpoint") or {}
        if checkpoint.get("trusted") and not (options.trust_checkpoint or conversion["trusted"]):
            raise WrongUsage(
                "this torch cannot load a checkpoint without running code that may be in it; "
                "if you trust the file, use --trust-checkpoint"
            )


def interpreter(role, conversion, options):
    """Return the Python of an environment: as given, or from its usual places. Raises WrongUsage."""
    said = getattr(options, role + "_python")
    if said is not None:
        found = shutil.which(said)
        if found is None:
            raise WrongUsage("--%s-python %s: no such program" % (role, said))
        return os.path.abspath(found)
    places = [os.path.join(HERE, place, "bin", "python") for place in conversion["pythons"][role]]
    for place in places:
        if os.path.exists(place):
            return place
    raise WrongUsage(
        "the %s environment is in none of %s; make it as EVIDENCE.md says, or name it: --%s-python PATH"
        % (role, ", ".join(conversion["pythons"][role]), role)
    )


def claim(output):
    """Make or empty the folder. Raises WrongUsage if it holds files that this program did not write."""
    if os.path.isdir(output) and os.listdir(output) and not os.path.isfile(os.path.join(output, REPORT)):
        raise WrongUsage("%s holds other files; choose another folder: --output" % output)
    if os.path.isdir(output):
        for name in os.listdir(output):
            remove(os.path.join(output, name))
    os.makedirs(output, exist_ok=True)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


def move(source, target):
    if os.path.exists(source):
        remove(target)
        os.rename(source, target)


def add_to(log, path):
    if os.path.exists(path):
        with open(path, "rb") as file:
            shutil.copyfileobj(file, log)


def write_json(path, content):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, sort_keys=True)


def first_line(text):
    lines = text.strip().splitlines()
    return lines[0][:300] if lines else "(no message)"


def parse(conversion):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option, item in sorted(conversion["user"].items()):
        parser.add_argument(
            "--" + option,
            metavar="PATH",
            type=os.path.abspath,
            default=item["default"],
            help=item["about"] + "; default: %(default)s",
        )
    for role, places in sorted(conversion["pythons"].items()):
        parser.add_argument(
            "--%s-python" % role, metavar="PATH", help="default: bin/python of the first of " + ", ".join(places)
        )
    parser.add_argument(
        "--output", metavar="DIR", type=os.path.abspath, default=os.path.join(HERE, "converted"), help="%(default)s"
    )
    parser.add_argument(
        "--trust-checkpoint", action="store_true", help="let a checkpoint run code, if this torch has no other way"
    )
    return parser.parse_args()


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
