"""The newest result of every cell, taken in one by one as history is read, and written as shards at the end.

There may be hundreds of thousands, so that only what the other pages need stays in memory; details wait in a file.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Any

from matrix.judging.cells import CellResult
from matrix.outputs.dashboard.observed import Observed
from matrix.outputs.dashboard.shards import SCHEMA, Shards, encode, fnv1a
from matrix.outputs.documents.run import cell as cell_document
from matrix.outputs.privacy import SiteCleaner
from matrix.store import RunRecord
from matrix.table.ids import CellId, RowId

THEN, CONVERTER_NOW, EXPORTER_NOW = 0, 1, 2
_TIMES = {None: THEN, "converter": CONVERTER_NOW, "exporter": EXPORTER_NOW}

# So many cells go into one shard.
_TOGETHER = 48

# Between the parts of what waits in the file; JSON never has it.
_PART = "\x00"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cell stands in the table; rows are named without the mark of another time. `python` is that of its
    converter's or its moved environment, '' where the lock of that is not known."""

    model: str
    exporter: str
    torch: str
    opset: int
    converter: str
    time: int
    python: str


@dataclass(frozen=True)
class Ending:
    """What is only known of a cell when all are read. Runs and conclusions by their positions in the site."""

    conclusion: int
    run: int
    history: Sequence[tuple[int, int]]
    decided: int
    blame: Mapping[str, Any] | None


class Cells:
    """Takes results and keeps what the pages need of them. `places` is by cell id."""

    def __init__(
        self, spill: Path, observed: Observed, python: Callable[[CellResult], str], cleaner: SiteCleaner
    ) -> None:
        self._spill = spill.open("w+b")
        self._observed = observed
        self._python = python
        self._cleaner = cleaner
        self._where: dict[str, tuple[int, int]] = {}
        self.places: dict[str, Place] = {}

    def take(self, result: CellResult) -> None:
        record = result.record
        self.places[record.cell] = Place(
            intern(record.model),
            intern(RowId.parse(record.exporter).stem),
            intern(record.torch),
            record.opset,
            intern(RowId.parse(record.converter).stem),
            _TIMES[record.cell_id.moved],
            intern(self._python(result)),
        )
        details = self._cleaner.encoded({**cell_document(result), "cause": result.judgement.cause})
        parts = [details]
        for observation in result.observations:
            parts += [str(observation.run or 0), self._observed.encoded(observation)]
        text = _PART.join(parts).encode()
        self._where[record.cell] = (self._spill.tell(), len(text))
        self._spill.write(text)

    def shard_count(self) -> int:
        return max(1, -(-len(self.places) // _TOGETHER))

    def write(
        self,
        shards: Shards,
        ending: Callable[[str], Ending],
        runs: Mapping[int, int],
        reproduce: Callable[[str, Place, int], list[str]],
    ) -> None:
        """`runs` gives the position of a run in the site by its number; `reproduce` the commands for a cell that the
        run at this position decided."""
        count = self.shard_count()
        together: dict[int, list[str]] = {}
        for cell in self.places:
            together.setdefault(fnv1a(cell) % count, []).append(cell)
        for number in range(count):
            entries = []
            for cell in together.get(number, ()):
                end = ending(cell)
                commands = reproduce(cell, self.places[cell], end.run)
                entries.append(f"{encode(self._cleaner.text(cell))}:{self._finished(cell, end, runs, commands)}")
            shards.write_encoded(f"cells/{number}", f'{{"cells":{{{",".join(entries)}}},"schema":{SCHEMA}}}')

    def close(self) -> None:
        self._spill.close()

    def _finished(self, cell: str, end: Ending, runs: Mapping[int, int], commands: list[str]) -> str:
        start, length = self._where[cell]
        self._spill.seek(start)
        details, *observed = self._spill.read(length).decode().split(_PART)
        observations = ",".join(
            f'{{"run":{encode(runs.get(int(run)))},{body[1:]}'
            for run, body in zip(observed[::2], observed[1::2], strict=True)
        )
        rest = self._cleaner.encoded(
            {
                "conclusion": end.conclusion,
                "run": end.run,
                "siblings": self._siblings(cell),
                "history": [list(item) for item in end.history],
                "decided": end.decided,
                "reproduce": commands,
                "blame": end.blame,
            }
        )
        return f'{details[:-1]},"observations":[{observations}],{rest[1:]}'

    def _siblings(self, cell: str) -> dict[str, str | None]:
        """The same cell at the other times, where a run decided it."""
        own = CellId.parse(cell).own
        now = [str(name) for name in own.of_now()]
        named = {"then": str(own), "converter_now": now[0], "exporter_now": now[1] if len(now) > 1 else None}
        return {time: name if name in self.places and name != cell else None for time, name in named.items()}


class Reproducing:
    """The commands that measure a cell again."""

    def __init__(
        self,
        models: Iterable[str],
        exporters: Iterable[str],
        converters: Iterable[str],
        tiers: Iterable[str],
        runs: Sequence[RunRecord],
    ) -> None:
        self._models = frozenset(models)
        self._exporters = frozenset(exporters)
        self._converters = frozenset(converters)
        self._tiers = frozenset(tiers)
        self._runs = runs

    def __call__(self, cell: str, place: Place, run: int) -> list[str]:
        commands = []
        decided = self._runs[run]
        if place.model in self._models and place.exporter in self._exporters and place.converter in self._converters:
            tier = decided.tier if decided.tier in self._tiers else "full"
            only = shlex.quote(f"cell={CellId.parse(cell).own}")
            now = f" --resolution now --as-of {decided.as_of}" if place.time != THEN and decided.as_of else ""
            commands.append(f"python -m matrix run --tier {tier} --only {only}{now} --again")
        if place.python:
            # The lock is on the Cell page, to be saved as env.lock.
            commands.append(
                f"uv venv --python {shlex.quote(place.python)} env && uv pip install --python env/bin/python --no-deps "
                "--require-hashes -r env.lock"
            )
        return commands
