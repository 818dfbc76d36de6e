"""A user's own model: a project outside the repository with its own code and checkpoint, and .onnx files, run as the
README describes; mistakes are explained, and remedies are tried."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from product import Finished, Project
from tables import EXPORTER, TF1, TF2, small_model, write_table

from matrix.execution.drawn_inputs import pack

MODELS = """\
from torch import nn

from layers import block


class Net(nn.Module):
    def __init__(self, width=8):
        super(Net, self).__init__()
        self.body = nn.Sequential(block(3, width), nn.MaxPool2d(2), block(width, 2 * width))
        self.head = nn.Linear(2 * width, 5)

    def forward(self, image):
        return self.head(self.body(image).mean(3).mean(2))


def build():
    return Net()


def build_wider():
    return Net(12)


def build_with_dropout_left_on():
    network = Net()
    network.eval = lambda: network
    network.body.add_module("noise", nn.Dropout(0.5))
    return network
"""
LAYERS = """\
from torch import nn


def block(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())
"""
SAVE = """\
import sys

import torch

sys.path.insert(0, ".")
import models

torch.manual_seed(3)
torch.save({"model": models.build().state_dict(), "epoch": 3}, "net.pt")
"""
# The file at a newer IR version than old converters support, and with external weights.
EDIT = """\
import sys

import onnx
from onnx import external_data_helper

model = onnx.load(sys.argv[1])
model.ir_version = 9
onnx.save(model, "newer.onnx")
external_data_helper.convert_model_to_external_data(
    model, all_tensors_to_one_file=True, location="weights.bin", size_threshold=0, convert_attribute=False
)
onnx.save(model, "beside.onnx")
for weight in model.graph.initializer:
    for entry in weight.external_data:
        if entry.key == "location":
            entry.value = "../../../../../../../etc/passwd"
onnx.save(model, "outside.onnx")
"""


class Own:
    """A user's project, and calls of ours on it."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project = project
        self.folder = folder
        # Not in the source folder: all its files are given to the job.
        self.files = folder.parent / "files"
        self.files.mkdir()

    def run(self, model: str, *arguments: str) -> Finished:
        return self.project.run("--model", model, *arguments)

    def factory(self, name: str, *arguments: str) -> Finished:
        place = ("--source", str(self.folder), "--input", "image=1x3x16x16:float32:-2..2")
        return self.run(f"{self.folder / 'models.py'}:{name}", *place, *arguments)

    def python(self, environment: str, code: str, *arguments: str) -> None:
        program = self.project.environment(environment) / "bin" / "python"
        place = self.folder if environment == EXPORTER else self.files
        subprocess.run([program, "-c", code, *arguments], cwd=place, check=True, timeout=120)


@pytest.fixture(scope="module")
def own(shared_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    base = tmp_path_factory.mktemp("own")
    project = Project(base / "project", shared_state, base / "history.db")
    write_table(project.folder, [small_model("good")], (TF1, TF2))
    made = project.call("build", EXPORTER, "reference", patience=600)
    assert made.code == 0, made.err
    folder = base / "theirs"
    folder.mkdir()
    (folder / "models.py").write_text(MODELS)
    (folder / "layers.py").write_text(LAYERS)
    own = Own(project, folder)
    own.python(EXPORTER, SAVE)
    yield own
    project.end_processes()


@pytest.fixture(scope="module")
def trusted(own: Own) -> Finished:
    return own.factory("build", "--checkpoint", str(own.folder / "net.pt"), "--checkpoint-key", "model", "--trust")


@pytest.fixture(scope="module")
def files(own: Own, trusted: Finished) -> Own:
    """The project with .onnx files made from its exports."""
    exported = next(
        record["files"]["model.onnx"]
        for found in own.project.payloads("export")
        for record in found["passes"]
        if "model.onnx" in record["files"]
    )
    own.python("reference", EDIT, str(own.project.blob(exported)))
    return own


def test_a_checkpoint_is_carried_through(trusted: Finished) -> None:
    assert {cell["converter"]: cell["verdict"] for cell in trusted.cells} == {TF1: "match", TF2: "match"}
    assert all(
        set(cell["legs"]) == {"torch-onnxruntime", "onnxruntime-tensorflow", "memory-reloaded"}
        for cell in trusted.cells
    )
    assert trusted.code == 0, trusted.err


def test_without_a_word_nothing_untrusted_is_loaded(own: Own, trusted: Finished) -> None:
    done = own.factory("build", "--checkpoint", str(own.folder / "net.pt"), "--checkpoint-key", "model")
    assert {(cell["verdict"], cell["reason"]) for cell in done.cells} == {("unavailable", "checkpoint-not-trusted")}
    assert done.jobs == (0, 0)
    assert done.code == 7
    assert any("--trust" in remedy["text"] for remedy in done.cells[0]["remedies"])


def test_a_checkpoint_that_does_not_fit(own: Own) -> None:
    done = own.factory(
        "build_wider", "--checkpoint", str(own.folder / "net.pt"), "--checkpoint-key", "model", "--trust"
    )
    assert done.code == 14
    line = MODELS.splitlines().index("def build_wider():") + 1
    assert f"models.py:{line}" in done.err
    assert "[12, 3, 3, 3]" in done.err and "[8, 3, 3, 3]" in done.err


def test_a_wrong_key_names_those_there_are(own: Own) -> None:
    done = own.factory("build", "--checkpoint", str(own.folder / "net.pt"), "--checkpoint-key", "weights", "--trust")
    assert done.code == 14
    assert "'weights'" in done.err and "epoch" in done.err


def test_a_wrong_shape_names_the_line(own: Own) -> None:
    done = own.run(
        f"{own.folder / 'models.py'}:build", "--source", str(own.folder), "--input", "image=1x4x16x16", "--seed", "1"
    )
    assert done.code == 14
    line = next(i for i, text in enumerate(MODELS.splitlines(), 1) if "return self.head" in text)
    assert f"models.py:{line}" in done.err
    assert "1x4x16x16" in done.err


def test_a_factory_that_is_not_there(own: Own) -> None:
    done = own.factory("biuld")
    assert done.code == 14
    assert "biuld" in done.err and "build" in done.err


def test_dropout_left_on_is_reported_not_judged(own: Own) -> None:
    done = own.factory("build_with_dropout_left_on")
    assert {(cell["verdict"], cell["reason"]) for cell in done.cells} == {("unavailable", "not-deterministic")}


def test_a_newer_file_matches_with_a_remedy_and_is_no_plain_match(files: Own) -> None:
    done = files.run(str(files.files / "newer.onnx"), "--remedy")
    cells = {cell["converter"]: cell for cell in done.cells}
    assert (cells[TF1]["verdict"], cells[TF1]["reason"]) == ("error", "ir-version-too-new")
    assert cells[TF1]["remedied"] == ["ir_version 9→4"]
    assert [trial["verdict"] for trial in cells[TF1]["tried"]] == ["match"]
    table = files.project.call("status", "--run", str(done.document["run"]))
    assert "match with" in table.out and "2 match with a remedy" in table.out


def test_external_data_and_tensorflow_lite(files: Own) -> None:
    done = files.run(str(files.files / "beside.onnx"), "--tflite", "--only", f"converter={TF2}", "--remedy")
    (cell,) = done.cells
    worked = cell if cell["verdict"] == "match" else cell["tried"][-1]
    assert worked["verdict"] == "match", cell
    kinds = [record["name"] for found in files.project.payloads("convert") for record in found["passes"]]
    assert "tflite" in kinds


def test_given_numbers_are_what_counts(files: Own) -> None:
    inputs = {"image": np.linspace(-1, 1, 3 * 16 * 16, dtype=np.float32).reshape(1, 3, 16, 16)}
    (files.files / "in.npz").write_bytes(pack(inputs))
    (files.files / "out.npz").write_bytes(pack({"output": np.zeros((1, 5), np.float32)}))
    given = ("--inputs", str(files.files / "in.npz"), "--reference", str(files.files / "out.npz"))
    done = files.run(str(files.files / "newer.onnx"), *given, "--only", f"converter={TF2}", "--remedy")
    (cell,) = done.cells
    found = cell if cell["reason"] != "ir-version-too-new" else cell["tried"][-1]
    assert found["verdict"] == "mismatch"
    assert "reference outputs given" in found["title"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.onnx", b"", "empty"),
        ("text.onnx", b"a model, I promise", "text"),
        ("outside.onnx", None, "outside"),
    ],
)
def test_a_hostile_file_is_answered_in_words(files: Own, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (files.files / name).write_bytes(content)
    done = files.run(str(files.files / name))
    assert done.code == 14
    assert said in done.err
    assert not any(cell["verdict"] == "match" for cell in done.cells)


def test_a_file_cut_short_harms_nobody(files: Own, trusted: Finished) -> None:
    whole = (files.files / "newer.onnx").read_bytes()
    (files.files / "short.onnx").write_bytes(whole[: len(whole) // 2])
    done = files.run(str(files.files / "short.onnx"))
    assert done.code == 14, done.err
    again = files.factory("build", "--checkpoint", str(files.folder / "net.pt"), "--checkpoint-key", "model", "--trust")
    assert again.jobs == (0, sum(trusted.jobs))
    assert again.code == 0
    files.project.assert_no_process_left()
    files.project.assert_history_whole()
