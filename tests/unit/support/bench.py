"""A folder with a table and a store of runs whose numbers and failures are said cell by cell, and `compare` on it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import small
from fakes import GOOD, npz
from small import observation, passed, report

from matrix import cli
from matrix.core import errors
from matrix.store import Observation, Store
from matrix.store.records import Obstacle

VALUES = [1.0, -2.0, 3.0, 4.0, -5.0]
NEAR = [1.0, -2.0, 3.0, 4.0, -5.001]  # within float32's tolerance of 1e-3
FAR = [1.0, -2.0, 3.0, 4.0, -6.0]
FILES = ("torch.npz", "reference.npz", "memory.npz", "reloaded.npz")
LITE = "tflite.npz"

Numbers = Mapping[str, Sequence[float] | bytes | None]


@dataclass
class Cell:
    """A cell as a run leaves it: a match, but for what is said here. `numbers` replaces files, None leaves one out;
    `failed` is what the converter raised at its last stage; obstacles are by the kind of job; `family` is the
    converter's, '' for ours."""

    converter: str = "old"
    numbers: Numbers | None = None
    failed: str = ""
    obstacles: Mapping[str, Obstacle] | None = None
    family: str = ""

    @property
    def id(self) -> str:
        return f"net/torch-1.2.0@9/{self.converter}"


class Bench:
    """A folder with a table and a store, and `compare` on it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.store = Store(f"sqlite:///{root}/.matrix/matrix.db", root / ".matrix" / "blobs")
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        small.table(root)
        monkeypatch.chdir(root)
        for name in ("MATRIX_STATE", "MATRIX_STORE"):
            monkeypatch.delenv(name, raising=False)

    def run(self, *cells: Cell, planned: int | None = None, engine: str = "venv", cached: int = 0) -> int:
        number = self.store.begin_run("known", engine, "run", len(cells) if planned is None else planned, {})
        for cell in cells:
            parts = [self.store.add(number, part, True, None) for part in self._observed(cell)]
            self.store.add_cells(number, [self._record(cell, *parts)])
        self.store.end_run(number, "complete", 3 * len(cells), cached)
        return number

    def repeat(self, number: int) -> int:
        """A run that found everything in the store."""
        records = self.store.cells(number)
        again = self.store.begin_run("known", "venv", "run", len(records), {})
        self.store.add_cells(again, records)
        self.store.end_run(again, "complete", 0, 3 * len(records))
        return again

    def _record(self, cell: Cell, export: int, reference: int, convert: int) -> Any:
        facts = {"converter": cell.converter, "export": export, "reference": reference, "convert": convert}
        return small.cell_record(cell.id, **facts)

    def _observed(self, cell: Cell) -> Iterator[Observation]:
        numbers = dict.fromkeys((*FILES, "again.npz"), VALUES) | dict(cell.numbers or {})
        blobs = {
            name: self.store.blobs.put(value if isinstance(value, bytes) else npz(value))
            for name, value in numbers.items()
            if value is not None
        }

        def files(*names: str) -> dict[str, str]:
            return {name: blobs[name] for name in names if name in blobs}

        good = report(*GOOD["convert"])
        convert = report(*GOOD["convert"], error=small.raised(cell.failed)) if cell.failed else good
        made = (
            observation(
                "export", passed("export", report(*GOOD["export"], facts={"opset_written": 9}), files=files(FILES[0]))
            ),
            observation(
                "reference", passed("reference", report(*GOOD["reference"]), files=files(FILES[1], "again.npz"))
            ),
            observation(
                "convert",
                passed("convert", convert, files=files(FILES[2])),
                passed("reload", report(*GOOD["reload"]), files=files(FILES[3])),
                *([passed("tflite", report(*GOOD["tflite"]), files=files(LITE))] if LITE in blobs else []),
            ),
        )
        for part in made:
            obstacle = (cell.obstacles or {}).get(part.kind)
            part = replace(part, family=cell.family if part.kind == "convert" else "")
            yield replace(part, passes=(), obstacle=obstacle) if obstacle else part

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self._monkeypatch.setattr(sys, "argv", ["matrix", "compare", *arguments])
        code = cli.main()
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err

    def json(self, *arguments: str) -> tuple[int, Any]:
        code, out, _ = self(*arguments, "--format", "json")
        return code, json.loads(out)


EQUAL, DIFFERENT, UNSURE = 0, errors.RunsDiffer.exit_code, errors.Indeterminate.exit_code
REGRESSED = errors.Regressed.exit_code

INFRA = Obstacle("build", "infra", "index-dns", "no network")
NO_PYTHON = Obstacle("build", "unavailable", "interpreter-missing", "needs Python 3.8")
NO_WHEEL = Obstacle("build", "unavailable", "no-wheel", "nothing for this machine")
BROKEN = Obstacle("build", "error", "no-build", "no compiler")
