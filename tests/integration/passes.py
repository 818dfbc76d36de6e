"""Run passes of converter/ directly in environments that the product built."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tables import EXPORTER, OPSET, ROOT

from matrix.execution.drawn_inputs import draw, pack
from matrix.table.model import ModelInput

_PATIENCE_SECONDS = 240


# Passes that belong to a family.
_OF_FAMILY = ("convert", "reload", "trace", "coverage")


def module_of(name: str) -> str:
    """Return the module of converter/ that implements a pass."""
    return f"converter.{'families.onnx_tf' if name in _OF_FAMILY else 'stages'}.{name}"


@dataclass(frozen=True)
class Work:
    """One job: its parameters and, by name, the files it is given."""

    files: Mapping[str, Path]
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """Return its result; a failure raises AssertionError with the traceback."""

    folder: Path
    result: Mapping[str, Any]

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    @property
    def facts(self) -> dict[str, Any]:
        assert self.result["error"] is None, self.result["error"]["traceback"]
        facts: dict[str, Any] = self.result["facts"]
        return facts


@dataclass
class Passes:
    """`python` says which interpreter an environment has."""

    python: Callable[[str], Path]
    folder: Path
    _count: int = 0

    def run(self, environment: str, name: str, jobs: Mapping[str, Work]) -> dict[str, Done]:
        """Run all jobs in one worker."""
        self._count += 1
        inbox, outbox = (self.folder / f"{self._count}-{name}" / part for part in ("inbox", "outbox"))
        for key, work in jobs.items():
            (inbox / key).mkdir(parents=True)
            for target, source in work.files.items():
                (inbox / key / target).symlink_to(source.resolve())
            spec = {"schema": 1, "job": key, "folder": key, "params": dict(work.params)}
            (inbox / f"{key}.json").write_text(json.dumps(spec))
        (inbox / "stop").touch()
        outbox.mkdir()
        worker = [self.python(environment), ROOT / "converter" / "worker.py", module_of(name)]
        subprocess.run(
            [*worker, "--inbox", inbox, "--outbox", outbox],
            check=True,
            timeout=_PATIENCE_SECONDS,
            env={key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        )
        return {key: Done(outbox / key, json.loads((outbox / key / f"{name}.json").read_text())) for key in jobs}

    def one(self, environment: str, name: str, work: Work) -> Done:
        return self.run(environment, name, {"only": work})["only"]

    def inputs(self, tensor: ModelInput) -> Path:
        path = self.folder / f"{tensor.name}.npz"
        path.write_bytes(pack(draw([tensor], 0)))
        return path

    def script(self, environment: str, code: str, *arguments: Path) -> str:
        """Run some Python code there and return its output."""
        command = [self.python(environment), "-c", code, *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def exported(self, model: str, tensor: ModelInput, *outputs: str) -> Done:
        """The network of converter/zoo/<model>.py, with the exporter and opset of the smoke tier."""
        params = {
            "factory": f"converter.zoo.{model}:build",
            "seed": 0,
            "via": "torchscript",
            "opset": OPSET,
            "inputs": [tensor.name],
            "outputs": list(outputs),
        }
        return self.one(EXPORTER, "export", Work({"inputs.npz": self.inputs(tensor)}, params))
