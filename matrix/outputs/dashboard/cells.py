"""The newest result of every cell, taken one by one as history is read, and written as shards at the end.

There may be hundreds of thousands, so only what the other pages need stays in memory; details are spilled to a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import intern

from matrix.history import History
from matrix.judging.cells import CellResult
from matrix.outputs.dashboard.observed import Observed
from matrix.outputs.dashboard.schema import SCHEMA, BlameShape, CellEnding, Siblings, Time
from matrix.outputs.dashboard.shards import Shards, encode, fnv1a
from matrix.outputs.documents.run import cell as cell_document
from matrix.outputs.privacy import SiteCleaner
from matrix.store import RunRecord
from matrix.table.ids import CellId, RowId

THEN: Time = 0
CONVERTER_NOW: Time = 1
EXPORTER_NOW: Time = 2
_TIMES = {None: THEN, "converter": CONVERTER_NOW, "exporter": EXPORTER_NOW}

# So many cells go into one shard.
_TOGETHER = 48

# Separates the parts of a cell in the file; JSON never contains it.
_PART = "\x00"


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a cell in the table; rows are named without the mark of another time. `python` is that of its
    converter's or its moved environment, '' if the lock of that is not known."""

    model: str
    exporter: str
    torch: str
    opset: int
    converter: str
    time: Time
    python: str


class Cells:
    """Takes results and keeps what the pages need. `places` is by cell id."""

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
        """Take one result."""
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
        """Return the number of shards."""
        return max(1, -(-len(self.places) // _TOGETHER))

    def write(
        self,
        shards: Shards,
        history: History,
        blames: Mapping[str, BlameShape],
        reproduce: Callable[[str, Place, RunRecord], list[str]],
    ) -> None:
        """Write the shards; `reproduce` gives the commands that measure a cell again as a run did."""
        runs = {run.id: position for position, run in enumerate(history.runs)}
        count = self.shard_count()
        together: dict[int, list[str]] = {}
        for cell in self.places:
            together.setdefault(fnv1a(cell) % count, []).append(cell)
        for number in range(count):
            entries = []
            for cell in together.get(number, ()):
                timeline = history.timelines[cell]
                run, conclusion = timeline.newest
                ending: CellEnding = {
                    "conclusion": conclusion,
                    "run": run,
                    "siblings": self._siblings(cell),
                    "history": timeline.changes(),
                    "decided": len(timeline.runs),
                    "reproduce": reproduce(cell, self.places[cell], history.runs[run]),
                    "blame": blames.get(cell),
                }
                entries.append(f"{encode(self._cleaner.text(cell))}:{self._finished(cell, ending, runs)}")
            shards.write_encoded(f"cells/{number}", f'{{"cells":{{{",".join(entries)}}},"schema":{SCHEMA}}}')

    def close(self) -> None:
        """Close the file of details."""
        self._spill.close()

    def _finished(self, cell: str, ending: CellEnding, runs: Mapping[int, int]) -> str:
        start, length = self._where[cell]
        self._spill.seek(start)
        details, *observed = self._spill.read(length).decode().split(_PART)
        observations = ",".join(
            f'{{"run":{encode(runs.get(int(run)))},{body[1:]}'
            for run, body in zip(observed[::2], observed[1::2], strict=True)
        )
        rest = self._cleaner.encoded(ending)
        return f'{details[:-1]},"observations":[{observations}],{rest[1:]}'

    def _siblings(self, cell: str) -> Siblings:
        """Return the same cell at the other times, as far as a run decided it."""
        own = CellId.parse(cell).own
        named = [str(name) for name in (own, *own.of_now())]
        decided = [name if name in self.places and name != cell else None for name in named]
        return {"then": decided[0], "converter_now": decided[1], "exporter_now": decided[2] if decided[2:] else None}
