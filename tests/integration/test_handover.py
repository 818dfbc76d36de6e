"""What pick hands over, used from scratch as EVIDENCE.md says: by pip, by uv, by tox and by Docker. A user's own model,
with a checkpoint, is converted by each and matches. One toolchain is of TensorFlow 1.13 on Python 3.6, and needs a
remedy, the other is a recent one, and goes on to TensorFlow Lite."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import numpy as np
import pytest
import shared
from engine import need_bases, no_new_layers, own_bases
from tables import NEWEST, ROOT, TF1, TF2, need_cpu_torch

from matrix.answers.use_cases import RunOptions, execute
from matrix.app.project import Project
from matrix.environments.docker.client import buildkit_cli
from matrix.judging.cells import Judge
from matrix.judging.tolerance import Tolerances
from matrix.outputs.package.folder.choice import Choice
from matrix.outputs.package.folder.write import write
from matrix.packages import interpreters, uv
from matrix.packages.index import IndexSettings, local_folder
from matrix.planning.cells import Step
from matrix.store.state import State
from matrix.table.model import ModelInput, ModelSpec

EXPORTER = NEWEST
_PATIENCE = 600

MODEL = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Linear(8, 5)

    def forward(self, image):
        return self.head(self.body(image).mean(3).mean(2))


def build():
    return Net()


if __name__ == "__main__":
    torch.manual_seed(7)
    torch.save(build().state_dict(), "net.pt")
"""


class Theirs:
    """The user's model, and toolchains measured for it."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self.state = State(state)
        self.model = ModelSpec(
            id="net",
            factory=f"{folder / 'net.py'}:build",
            checkpoint=str(folder / "net.pt"),
            inputs=(ModelInput(name="image", shape=(1, 3, 16, 16), range=(-2.0, 2.0)),),
            outputs=("scores",),
        )
        (folder / "net.py").write_text(MODEL)

    def choice(self, converter: str, opset: int, remedy: bool = False, tflite: bool = False) -> Choice:
        """The toolchain measured, as pick has it at its end."""
        only = (f"exporter={EXPORTER}-torchscript", f"opset={opset}", f"converter={converter}")
        session = Project(
            ROOT / "matrix.yml",
            self.state,
            IndexSettings.resolve(),
            "full",
            only,
            engine_name="venv",
            given=(self.model,),
        )
        options = RunOptions(
            remedy=remedy, tflite=tflite, locked=True, command="python -m matrix pick --model net.py:build"
        )
        self._checkpoint(session)
        execute(session, options)
        (cell,) = session.plan().cells
        store = session.state.open_store()
        try:
            run = max(store.runs(), key=lambda item: item.id)
            judge = Judge(session.config, store)
            (result,) = judge.cells(store.cells(run.id), session.locks, run.id)
        finally:
            store.close()
        if result.remedied is not None:
            result = result.remedied
            changes = tuple(Step(*change) for change in result.record.changes)
            assert [change.kind for change in changes] == ["rename"]
            cell = replace(cell, base=cell.id, changes=changes, alterations=(("rename", True),))
        return Choice(
            cell=cell,
            result=result,
            converter=session.locks[cell.converter.id],
            exporter=session.locks[session.plan().exporter_environment(cell)],
            reference=session.locks["reference"],
            tolerances=Tolerances(),
            root=self.folder,
            run=run,
            tflite=tflite,
        )

    def _checkpoint(self, session: Project) -> None:
        """The weights, saved by the torch of the exporter's environment."""
        if not (self.folder / "net.pt").exists():
            (python,) = self.state.root.glob("envs/*/lib/python3.11/site-packages/torch/__init__.py")
            subprocess.run([python.parents[4] / "bin" / "python", "net.py"], cwd=self.folder, check=True, timeout=120)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    need_cpu_torch()
    state = tmp_path_factory.mktemp("state")
    shared.environments(state, EXPORTER, "reference", TF1, TF2)
    yield Theirs(tmp_path_factory.mktemp("theirs"), state)
    shutil.rmtree(state)


@pytest.fixture(scope="module")
def old(theirs: Theirs) -> Choice:
    return theirs.choice(TF1, 9, remedy=True)


@pytest.fixture(scope="module")
def recent(theirs: Theirs) -> Choice:
    return theirs.choice(TF2, 11, tflite=True)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder handed over; gigabytes once environments are made in it."""
    yield tmp_path / "handover"
    shutil.rmtree(tmp_path)


def call(folder: Path, *words: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a command that must succeed and return its standard output."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        list(map(str, words)),
        cwd=folder,
        env=variables | (env or {}),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
    )
    log = folder / "converted" / "log.txt"
    assert done.returncode == 0, done.stdout + done.stderr + (log.read_text()[-3000:] if log.exists() else "")
    return done.stdout


def python_of(version: str) -> Path:
    found = interpreters.find(version)
    if found is None:
        pytest.skip(f"Python {version} is missing; get it with: {interpreters.how_to_get(version)}")
    return found.path


def assert_match(said: str, result: Path, choice: Choice) -> None:
    """Check that the measurement was reproduced with exactly the locked packages."""
    assert said.startswith("MATCH: "), said
    report: dict[str, Any] = json.loads((result / "report.json").read_text())
    assert report["match"] is True
    assert report["notes"] == []
    exported = report["passes"][0]["versions"]
    converted = next(item for item in report["passes"] if item["pass"] == "convert")["versions"]
    assert choice.exporter is not None
    assert {name: exported[name] for name in choice.exporter.packages} == choice.exporter.packages
    assert {name: converted[name] for name in choice.converter.packages} == choice.converter.packages
    with np.load(result / "expected.npz") as torch, np.load(result / "reloaded.npz") as reloaded:
        expected = {key: torch[key] for key in torch.files}
        values = [reloaded[key] for key in reloaded.files]
    assert len(expected) == len(values) > 1
    for one, other in zip(expected.values(), values, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-5)
        assert np.ptp(one) > 0.01
    assert (result / "model.onnx").stat().st_size > 1000
    assert any((result / "tensorflow").iterdir())


def test_by_uv_with_an_old_tensorflow_and_a_remedy(old: Choice, folder: Path) -> None:
    write(folder, old)
    for part in old.parts:
        call(
            folder, uv.binary(), "venv", "--no-project", "--python", python_of(part.lock.python), f"{part.folder}/.venv"
        )
        python = f"{part.folder}/.venv/bin/python"
        file = f"{part.folder}/requirements.txt"
        call(folder, uv.binary(), "pip", "sync", "--require-hashes", "--python", python, file, env=_uv())

    said = call(folder, "python3", "convert.py")

    assert {part.folder for part in old.parts} == {"exporter", "reference", "converter"}
    assert_match(said, folder / "converted", old)
    # Any Python from 3.6 on runs it.
    again = call(folder, "converter/.venv/bin/python", "convert.py")
    assert_match(again, folder / "converted", old)


@pytest.mark.slow
def test_by_pip_with_a_recent_one_and_tensorflow_lite(recent: Choice, folder: Path) -> None:
    write(folder, recent)
    for part in recent.parts:
        call(folder, python_of(part.lock.python), "-m", "venv", f"{part.folder}/.venv")
        pip = (f"{part.folder}/.venv/bin/python", "-m", "pip", "install", "--quiet")
        call(folder, *pip, "--upgrade", "pip")
        call(folder, *pip, "--no-deps", "--require-hashes", "-r", f"{part.folder}/requirements.txt", env=_pip())

    said = call(folder, "python3", "convert.py")

    assert_match(said, folder / "converted", recent)
    assert "TensorFlow Lite" in said
    assert (folder / "converted" / "model.tflite").read_bytes()[4:8] == b"TFL3"


@pytest.mark.slow
def test_by_tox(recent: Choice, folder: Path) -> None:
    write(folder, recent)
    folders = [str(python_of(part.lock.python).parent) for part in recent.parts]
    path = os.pathsep.join([*folders, os.environ["PATH"]])

    said = call(folder, sys.executable, "-m", "tox", "run", "-q", env=_uv() | {"PATH": path})

    assert_match(said[said.index("MATCH") :], folder / "converted", recent)


def test_by_docker(old: Choice, theirs: Theirs, folder: Path, engine: docker.DockerClient) -> None:
    need_bases(engine, TF1, "reference")
    write(folder, old)
    _fill_extra(folder / "extra")
    out = folder / "out"
    out.mkdir()
    image = f"torch-tf-matrix-test/{uuid.uuid4().hex[:12]}"
    with contextlib.ExitStack() as stack:
        # With a test's own bases, everything built on them is removed at the end.
        pythons = {part.lock.python for part in old.parts}
        own = {python: stack.enter_context(own_bases(engine, python)) for python in sorted(pythons)}
        arguments = []
        for part in old.parts:
            base = own[part.lock.python].format(python=part.lock.python)
            arguments += ["--build-arg", f"{part.name.upper()}_BASE={base}"]
        stack.enter_context(no_new_layers(engine))
        # BuildKit, if present, builds the parts in parallel.
        builder, with_it = buildkit_cli(), {"DOCKER_BUILDKIT": "1"}
        command = (builder or "docker", "build", "--quiet", "--force-rm", "--network", "host", "--tag", image)
        call(folder, *command, *arguments, ".", env=with_it if builder else None)
        mounts = ["-v", f"{theirs.folder}:{theirs.folder}:ro", "-v", f"{out}:/out"]
        user = ["--user", f"{os.getuid()}:{os.getgid()}"]
        said = call(folder, "docker", "run", "--rm", "--network", "none", "--read-only", *user, *mounts, image)
    assert_match(said, out / "converted", old)


def _uv() -> dict[str, str]:
    return IndexSettings.resolve().variables()


def _pip() -> dict[str, str]:
    settings = IndexSettings.resolve()
    variables = {"PIP_INDEX_URL": settings.index, "PIP_FIND_LINKS": " ".join(settings.find_links)}
    return variables | ({"PIP_CERT": settings.certificates} if settings.certificates else {})


def _fill_extra(folder: Path) -> None:
    """As a user behind a company's index would."""
    settings = IndexSettings.resolve()
    lines = ["[global]", f"index-url = {settings.index}"]
    if settings.certificates:
        shutil.copyfile(settings.certificates, folder / "ca.pem")
        lines.append("cert = /extra/ca.pem")
    (folder / "pip.conf").write_text("\n".join(lines) + "\n")
    for place in settings.find_links:
        for wheel in (local_folder(place) or Path("/nowhere")).glob("torch-*+cpu-*.whl"):
            shutil.copyfile(wheel, folder / wheel.name)
