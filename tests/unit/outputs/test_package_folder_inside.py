"""The programs in the folder that `pick` writes: how numbers are compared, and the messages of convert.py on errors. A
small script stands in for the passes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix.environments import worker_client
from matrix.judging.compare import compare as judged
from matrix.judging.tensors import Array
from matrix.judging.tolerance import Tolerances
from matrix.outputs.package.folder.conversion import SCHEMA
from matrix.outputs.package.folder.inside import compare_numbers

INSIDE = Path(compare_numbers.__file__).parent
RULE = asdict(Tolerances())

# Leaves what params["leave"] says, in the way of converter/worker.py.
WORKER = """\
import json, os, signal, sys
import numpy
name, inbox, outbox = sys.argv[1].rpartition(".")[2], sys.argv[3], sys.argv[5]
spec = json.load(open(os.path.join(inbox, "job.json")))
params = spec["params"]
folder = os.path.join(outbox, "job")
os.makedirs(folder)
print("printed by", name, sorted(os.listdir(os.path.join(inbox, "job"))))
if params.get("signal"):
    os.kill(os.getpid(), params["signal"])
error = params.get("error")
for file, values in params.get("leave", {}).items():
    numpy.savez(os.path.join(folder, file), **{"0/y": numpy.array(values, "float32")})
if "onnx" in params:
    open(os.path.join(folder, "model.onnx"), "w").write(params["onnx"])
report = {"schema": 1, "done": True, "error": error, "stages": [{"stage": "run"}], "facts": {}}
report["versions"] = {"numpy": "1.0"}
json.dump(report, open(os.path.join(folder, name + ".json"), "w"))
"""


def case(**arrays: Any) -> dict[str, Array]:
    return {f"0/{name}": np.asarray(values) for name, values in arrays.items()}


@pytest.mark.parametrize(
    ("expected", "actual", "words"),
    [
        (case(y=np.float32([1, 2])), case(y=np.float32([1, 2.001])), None),
        (case(y=np.float32([1, 2])), case(y=np.float32([1, 2.1])), "1 of 2 numbers lie outside"),
        (case(y=np.float32([1, 2])), case(y=np.float32([[1, 2]])), "shape"),
        (case(y=np.float32([1, 2])), case(y=np.float64([1, 2])), "float64, not float32"),
        (case(y=np.float32([1, np.nan])), case(y=np.float32([1, np.nan])), None),
        (case(y=np.float32([1, np.nan])), case(y=np.float32([1, 2])), "NaN"),
        (case(y=np.float32([1, np.inf])), case(y=np.float32([1, -np.inf])), "infinity"),
        (case(y=np.float32([np.inf])), case(y=np.float32([np.inf])), None),
        (case(y=np.int64([2**60])), case(y=np.int64([2**60 + 1])), "1 of 1 numbers"),
        (case(y=np.uint8([3, 255])), case(y=np.uint8([3, 255])), None),
        (case(y=[True, False]), case(y=[True, True]), "1 of 2 numbers"),
        (case(y=np.float16([1])), case(y=np.float16([1.005])), None),
        (case(y=np.float32([1])), case(output_0=np.float32([1])), None),
        (case(y=np.float32([1])), case(), "0 outputs, not 1"),
        (case(), case(), "0 outputs"),
        (case(y=np.zeros((0, 3), np.float32)), case(y=np.zeros((0, 3), np.float32)), None),
    ],
)
def test_numbers_are_compared_as_the_driver_does(
    expected: dict[str, Array], actual: dict[str, Array], words: str | None
) -> None:
    said = compare_numbers.compare(expected, actual, RULE)["wrong"]
    assert (said is None) if words is None else (words in said)
    if set(expected) == set(actual):
        assert judged(expected, actual).match is (words is None)


def test_cases_keep_their_places_under_other_names() -> None:
    expected = {"0/a": np.float32([1]), "0/b": np.float32([2]), "1/a": np.float32([3]), "1/b": np.float32([4])}
    actual = {"0/x": np.float32([1]), "0/y": np.float32([2]), "1/x": np.float32([3]), "1/y": np.float32([4])}
    assert compare_numbers.compare(expected, actual, RULE)["wrong"] is None
    assert compare_numbers.compare(expected, actual | {"1/x": np.float32([9])}, RULE)["wrong"] is not None


class Folder:
    """A folder as `pick` writes it, with a stand-in for the passes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        toolkit = root / "toolkit"
        (toolkit / "converter").mkdir(parents=True)
        (toolkit / "converter" / "worker.py").write_text(WORKER)
        shutil.copyfile(INSIDE / "compare_numbers.py", toolkit / "compare_numbers.py")
        shutil.copyfile(worker_client.__file__, toolkit / "worker_client.py")
        shutil.copyfile(INSIDE / "convert.py", root / "convert.py")
        self.export: dict[str, Any] = {"leave": {"torch.npz": [1, 2]}, "onnx": "a file"}
        self.convert: dict[str, Any] = {"leave": {"memory.npz": [1, 2]}}
        self.document: dict[str, Any] = {
            "schema": SCHEMA,
            "cell": "net/torch@9/old",
            "pythons": {"exporter": ["exporter/.venv"], "converter": ["converter/.venv"]},
            "packages": {"exporter": {"numpy": "1.0"}, "converter": {"numpy": "1.0"}},
            "environ": {"PYTHONNOUSERSITE": "1"},
            "trusted": False,
            "user": {},
            "expected": "what torch computed",
            "compared": [["memory.npz", "TensorFlow in memory"]],
            "tolerances": RULE,
            "model_onnx_sha256": None,
        }

    def run(self, *arguments: str, python: str | None = sys.executable) -> subprocess.CompletedProcess[str]:
        leaves = {"model.onnx": "model.onnx", "torch.npz": "expected.npz"}
        takes = {"source": "source", "checkpoint": "checkpoint"}
        given = {"model.onnx": "model.onnx"}
        steps = [
            {"pass": "export", "module": "converter.stages.export", "role": "exporter", "params": self.export,
             "takes": takes, "leaves": leaves},
            {"pass": "convert", "module": "converter.stages.convert", "role": "converter",
             "params": self.convert, "takes": given, "leaves": {"memory.npz": "memory.npz"}},
        ]  # fmt: skip
        (self.root / "toolkit" / "conversion.json").write_text(json.dumps(self.document | {"steps": steps}))
        said = [f"--{role}-python={python}" for role in ("exporter", "converter")] if python else []
        words = [sys.executable, str(self.root / "convert.py"), *said, *arguments]
        return subprocess.run(words, capture_output=True, text=True, timeout=120)

    @property
    def report(self) -> dict[str, Any]:
        report = json.loads((self.root / "converted" / "report.json").read_text())
        assert isinstance(report, dict)
        return report


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "handover")


def test_a_match_is_one_sentence_and_leaves_the_files(folder: Folder) -> None:
    done = folder.run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("MATCH: TensorFlow in memory computed what torch did, 2 numbers each")
    assert done.stdout.count("\n") == 1
    names = {path.name for path in (folder.root / "converted").iterdir()}
    assert names == {"report.json", "log.txt", "model.onnx", "expected.npz", "memory.npz"}
    assert folder.report["match"] is True
    log = (folder.root / "converted" / "log.txt").read_text()
    assert "printed by export []" in log
    assert "printed by convert ['model.onnx']" in log
    # Once more, over what it left.
    assert folder.run().returncode == 0


def test_other_numbers_are_no_match(folder: Folder) -> None:
    folder.convert["leave"]["memory.npz"] = [1, 2.5]
    done = folder.run()
    assert done.returncode == 1
    assert done.stdout.startswith("MISMATCH: TensorFlow in memory: 0/y: 1 of 2 numbers lie outside")
    assert folder.report["match"] is False


@pytest.mark.parametrize(
    ("convert", "words"),
    [
        (
            {"error": {"type": "builtins.KeyError", "message": "'Resize'\nmore", "traceback": "Traceback: here\n"}},
            "NOT CONVERTED: convert failed at run: builtins.KeyError: 'Resize'; see log.txt",
        ),
        ({"signal": 11}, "NOT CONVERTED: convert ended by signal 11"),
    ],
)
def test_a_pass_that_fails_is_said_in_one_sentence(folder: Folder, convert: dict[str, Any], words: str) -> None:
    folder.convert = convert
    done = folder.run()
    assert done.returncode == 1
    assert done.stdout.startswith(words)
    assert "Traceback" not in done.stdout + done.stderr
    assert folder.report["match"] is False
    if "error" in convert:
        assert "Traceback: here" in (folder.root / "converted" / "log.txt").read_text()


def test_another_environment_than_the_measured_one_is_noted(folder: Folder) -> None:
    folder.document["packages"]["converter"] = {"numpy": "1.0", "onnx": "1.5"}
    done = folder.run()
    assert done.returncode == 0
    assert "converter environment is not the one that was measured: onnx missing, not 1.5" in done.stderr


def test_mistakes_are_said_before_anything_runs(folder: Folder, tmp_path: Path) -> None:
    missing = folder.run(python=None)
    assert missing.returncode == 2
    assert "the exporter environment is in none of exporter/.venv; make it as EVIDENCE.md says" in missing.stderr

    folder.document["user"] = {
        "checkpoint": {"default": str(tmp_path / "net.pt"), "place": "checkpoint", "about": "the weights"}
    }
    moved = folder.run()
    assert (moved.returncode, moved.stdout) == (2, "")
    assert "net.pt does not exist; say where it is now: --checkpoint" in moved.stderr

    elsewhere = tmp_path / "elsewhere.pt"
    elsewhere.write_text("weights")
    folder.export["checkpoint"] = {"key": None, "trusted": True}
    untrusted = folder.run("--checkpoint", str(elsewhere))
    assert untrusted.returncode == 2
    assert "--trust-checkpoint" in untrusted.stderr
    assert not (folder.root / "converted").exists()
    trusted = folder.run("--checkpoint", str(elsewhere), "--trust-checkpoint")
    assert trusted.returncode == 0, trusted.stderr
    assert "printed by export ['checkpoint']" in (folder.root / "converted" / "log.txt").read_text()


def test_a_folder_of_somebody_elses_is_left_alone(folder: Folder, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("mine")
    done = folder.run("--output", str(theirs))
    assert done.returncode == 2
    assert "holds other files" in done.stderr
    assert [path.name for path in theirs.iterdir()] == ["thesis.txt"]


def test_source_is_taken_without_caches_and_environments(folder: Folder, tmp_path: Path) -> None:
    source = tmp_path / "code"
    for place in ("net.py", "parts/layer.py", ".git/config", "__pycache__/net.pyc", "venv/pyvenv.cfg", "venv/x.py"):
        (source / place).parent.mkdir(parents=True, exist_ok=True)
        (source / place).write_text("")
    folder.document["user"] = {"source": {"default": str(source), "place": "source", "about": "code"}}
    worker = folder.root / "toolkit" / "converter" / "worker.py"
    walk = 'print(sorted(os.path.join(p, n) for p, _, names in os.walk(inbox + "/job/source") for n in names))\n'
    worker.write_text(WORKER + walk)
    assert folder.run().returncode == 0
    log = (folder.root / "converted" / "log.txt").read_text()
    assert "source/net.py" in log
    assert "source/parts/layer.py" in log
    assert not any(text in log for text in (".git", "pyc", "venv"))


def test_inputs_of_the_users_own_get_their_case(folder: Folder, tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", x=np.float32([1]))
    folder.document["user"] = {"inputs": {"default": str(tmp_path / "plain.npz"), "place": "inputs.npz", "about": ""}}
    assert folder.run().returncode == 0
    with np.load(folder.root / "converted" / "inputs.npz") as found:
        assert found.files == ["0/x"]
    (tmp_path / "plain.npz").write_text("no archive")
    wrong = folder.run()
    assert wrong.returncode == 2
    assert "is not an .npz file of plain arrays" in wrong.stderr
