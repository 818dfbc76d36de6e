"""From a store to a folder. Read run by run, so that a history of any length fits into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any

from matrix.core.errors import NothingSelected, UsageError
from matrix.core.text import plain
from matrix.judging.cells import Judge
from matrix.outputs.interchange import canonical, forms
from matrix.outputs.interchange import drift_reports as drifted
from matrix.outputs.interchange.folder import BLAMES, CELLS, OBSERVATIONS, RESOLUTIONS, FolderWriter
from matrix.outputs.interchange.privacy import AsItIs, Cleaner, Declared, command
from matrix.outputs.interchange.sorting import sorted_lines
from matrix.store import CellRecord, Store
from matrix.store.schema import RunRow
from matrix.store.transfer import StoreReader
from matrix.table.model import Config

# So many cells are judged at once.
_TOGETHER = 2_000

# What a coverage job left; nothing of it is of a model.
_OF_COVERAGE = frozenset({"cases.json", "expected.npz", "actual.npz"})


@dataclass(frozen=True)
class ExportSelection:
    """What is to go: `runs` by number, all where that is empty; `shard` (I, N) takes the I-th of N parts of the cells,
    cut by a hash of their ids; `arrays` lets the .npz files go too."""

    runs: tuple[int, ...] = ()
    shard: tuple[int, int] | None = None
    arrays: bool = False

    def cell(self, cell: str) -> bool:
        if self.shard is None:
            return True
        return int.from_bytes(hashlib.sha256(cell.encode()).digest()[:8], "big") % self.shard[1] == self.shard[0] - 1


@dataclass
class Sent:
    """What went. `kept_back` are cells of models that stay here, `models` how many those are; `open` are runs that are
    still under way."""

    runs: int = 0
    cells: int = 0
    observations: int = 0
    kept_back: int = 0
    models: set[str] = field(default_factory=set)
    open: list[int] = field(default_factory=list)


@dataclass
class Export:
    """One export of a store. `cleaner` is for what was observed on this machine. Without `config` nothing is judged:
    the comparisons that came from elsewhere go on as they are."""

    store: Store
    config: Config | None
    declared: Declared
    cleaner: Cleaner
    wanted: ExportSelection
    sent: Sent = field(default_factory=Sent)
    _observed: set[int] = field(default_factory=set)
    _private: list[str] = field(default_factory=list)
    _names: dict[int, str] = field(default_factory=dict)
    _judged: set[bytes] = field(default_factory=set)
    _blobs: set[str] = field(default_factory=set)

    def write(self, out: FolderWriter) -> Sent:
        """Raises UsageError for a run that is not there, NothingSelected where nothing is left to go."""
        with self.store.reading() as reader:
            runs = reader.runs()
            chosen = self._chosen(runs)
            self._private = sorted(name for name in reader.models() if not self.declared.model(name))
            going = [row for row in chosen if self._goes(reader, row)]
            if not going:
                raise NothingSelected(_nothing(self.sent))
            told = chain(self._comparisons(reader, going), self._received(reader))
            for two, of_two in groupby(sorted_lines(told), key=_prefix):
                out.lines(f"comparisons/{two}.jsonl", of_two)
            makers = reader.makers(self._observed)
            for run, numbers in reader.observed({row.id for row in going}, "coverage").items():
                makers.setdefault(run, set()).update(numbers)
            whole = {row.id for row in going}
            locks: set[str] = set()
            for row in runs:
                if row.id not in whole and row.id not in makers:
                    continue
                self._run(reader, row, out)
                numbers = makers.get(row.id, set())
                out.lines(f"runs/{row.uid}/{OBSERVATIONS}", sorted_lines(self._observations(reader, row, numbers)))
                self.sent.runs += 1
            for row in going:
                out.lines(f"runs/{row.uid}/{CELLS}", sorted_lines(self._cells(reader, row)))
                found = [forms.resolution_form(columns) for columns in reader.resolutions(row.id)]
                out.lines(f"runs/{row.uid}/{RESOLUTIONS}", sorted_lines(map(canonical.line, found)))
                locks |= {str(one["lock"]) for one in found}
                out.lines(f"runs/{row.uid}/{BLAMES}", sorted_lines(self._blames(reader, row)))
            for digest in sorted(locks):
                out.page(f"locks/{digest}.json", reader.lock(digest))
        for name in sorted(self._blobs):
            out.blob(name, self.store.blobs.local(name))
        return self.sent

    def _chosen(self, runs: list[RunRow]) -> list[RunRow]:
        known = {row.id for row in runs}
        for number in self.wanted.runs:
            if number not in known:
                raise UsageError(f"there is no run {number}; `python -m matrix status` lists them")
        chosen = [row for row in runs if not self.wanted.runs or row.id in self.wanted.runs]
        self.sent.open = [row.id for row in chosen if row.status == "running"]
        return [row for row in chosen if row.status != "running"]

    def _goes(self, reader: StoreReader, row: RunRow) -> bool:
        """Whether a run has anything to tell, and what of it; all of its observations are remembered."""
        records = reader.records(row.id)
        open_ = [record for record in records if self.declared.model(record.model)]
        self.sent.kept_back += sum(record.base is None for record in records) - sum(
            record.base is None for record in open_
        )
        self.sent.models |= {record.model for record in records if not self.declared.model(record.model)}
        return bool(open_) or not records

    def _units(self, reader: StoreReader, row: RunRow) -> Iterator[tuple[str, list[CellRecord]]]:
        records = [record for record in reader.records(row.id) if self.declared.model(record.model)]
        for cell, of_cell in forms.units(records).items():
            if self.wanted.cell(cell):
                yield cell, of_cell

    def _comparisons(self, reader: StoreReader, rows: Iterable[RunRow]) -> Iterator[bytes]:
        """What every cell was judged by, for machines that will not have the arrays; a cell that rests on the same as
        in another run, once."""
        for row in rows:
            fresh: list[CellRecord] = []
            for cell, records in self._units(reader, row):
                for record in records:
                    self._observed.update(record.observations)
                basis = hashlib.sha256(repr((cell, records)).encode()).digest()[:16]
                if basis not in self._judged:
                    self._judged.add(basis)
                    fresh += records
                if len(fresh) >= _TOGETHER:
                    yield from self._told(fresh)
                    fresh = []
            yield from self._told(fresh)

    def _told(self, records: list[CellRecord]) -> Iterator[bytes]:
        if records and self.config is not None:
            judge = Judge(self.config, self.store)
            judge.cells(records, {}, 0)
            for key, value in judge.comparisons.used().items():
                yield canonical.line({"key": key, "value": value})

    def _received(self, reader: StoreReader) -> Iterator[bytes]:
        if self.config is None:
            for key, value in reader.all_comparisons():
                yield canonical.line({"key": key, "value": value})

    def _run(self, reader: StoreReader, row: RunRow, out: FolderWriter) -> None:
        clean = self._cleaner(row)
        report = None
        if row.drift is not None:
            report = drifted.of_cells(clean.value(row.drift), self.declared.cell)
        out.page(f"runs/{row.uid}/run.json", forms.run_form(row, self._command(clean), report))

    def _command(self, clean: Cleaner) -> Callable[[str], str]:
        def cleaned(text: str) -> str:
            return clean.text(plain(command(text, self.declared, self._private)))

        return cleaned

    def _observations(self, reader: StoreReader, row: RunRow, numbers: Collection[int]) -> Iterator[bytes]:
        clean = self._cleaner(row)
        for number, columns in reader.observations(row.id, numbers):
            if number not in self._observed and not self.wanted.cell(columns["job"]):
                continue  # coverage, which is of no cell
            form = forms.observation_form(columns, clean)
            line = canonical.line(form)
            self._names[number] = canonical.content(line)
            self._blobs |= set(self._files(form))
            self.sent.observations += 1
            yield line

    def _files(self, form: dict[str, Any]) -> Iterator[str]:
        """The files that go with an observation: its logs, and arrays where they are asked for. Models, weights and
        sources never do."""
        for record in form["payload"]["passes"]:
            if record["log"]:
                yield record["log"]
            for name, blob in record["files"].items():
                of_coverage = form["kind"] == "coverage" and name in _OF_COVERAGE
                if of_coverage or (self.wanted.arrays and name.endswith(".npz")):
                    yield blob

    def _cells(self, reader: StoreReader, row: RunRow) -> Iterator[bytes]:
        for cell, records in self._units(reader, row):
            self.sent.cells += any(record.base is None for record in records)
            yield canonical.line(forms.cell_form(cell, records, self._name))

    def _name(self, number: int | None) -> str | None:
        return None if number is None else self._names[number]

    def _blames(self, reader: StoreReader, row: RunRow) -> Iterator[bytes]:
        clean = self._cleaner(row)
        for columns in reader.blames(row.id):
            if self.declared.cell(columns["cell"]) and self.wanted.cell(columns["cell"]):
                yield canonical.line(forms.blame_form(columns, clean))

    def _cleaner(self, row: RunRow) -> Cleaner:
        return self.cleaner if forms.is_ours(row) else AsItIs()


def _nothing(sent: Sent) -> str:
    if sent.open:
        runs = ", ".join(map(str, sent.open))
        return f"run {runs} is still under way, and nothing else may leave this machine; export when it has ended"
    if sent.models:
        models = ", ".join(sorted(sent.models))
        return f"only models that the table does not declare have cells ({models}); --include NAME lets one go"
    return "no run has ended yet: python -m matrix run"


def _prefix(line: bytes) -> str:
    # {"key":"ab…
    return line[8:10].decode()
