"""Export a store to a folder, run by run, so that a history of any length fits into memory; merge exports."""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from matrix.core.errors import NothingSelected, UsageError
from matrix.core.text import plain
from matrix.judging.cells import Judge
from matrix.outputs.interchange import forms, union
from matrix.outputs.interchange.folder import BLAMES, CELLS, OBSERVATIONS, RESOLUTIONS, Folder, FolderWriter, writing
from matrix.outputs.interchange.incoming import Import
from matrix.outputs.privacy import AsItIs, Cleaner, Public
from matrix.store import CellRecord, Store
from matrix.store.schema import RunRow
from matrix.store.transfer import StoreReader
from matrix.table.model import Config

# The number of cells judged at once.
_TOGETHER = 2_000

# Lines sorted in memory, in bytes.
_SORTED_BYTES = 64 * 2**20

# Files of a coverage job; they hold nothing of a model.
_OF_COVERAGE = frozenset({"cases.json", "expected.npz", "actual.npz"})


@dataclass(frozen=True)
class ExportSelection:
    """The content of an export: `runs` by number, all if empty; of their cells, for `shard` I, N, the I-th of N parts,
    cut by a hash of their ids; with `arrays` also the .npz files."""

    runs: tuple[int, ...] = ()
    shard: tuple[int, int] | None = None
    arrays: bool = False

    def cell(self, cell: str) -> bool:
        if self.shard is None:
            return True
        return int.from_bytes(hashlib.sha256(cell.encode()).digest()[:8], "big") % self.shard[1] == self.shard[0] - 1


@dataclass
class Sent:
    """The content that was exported. `kept_back` counts cells of `models` that stay here; `open` are runs still under
    way."""

    runs: int = 0
    cells: int = 0
    observations: int = 0
    kept_back: int = 0
    models: set[str] = field(default_factory=set)
    open: list[int] = field(default_factory=list)


@dataclass
class Export:
    """One export of a store. `cleaner` is for texts of this machine. Without `config` nothing is judged: stored
    comparisons are exported as they are."""

    store: Store
    config: Config | None
    public: Public
    cleaner: Cleaner
    wanted: ExportSelection
    sent: Sent = field(default_factory=Sent)
    _observed: set[int] = field(default_factory=set)
    _private: list[str] = field(default_factory=list)
    _names: dict[int, str] = field(default_factory=dict)
    _judged: set[bytes] = field(default_factory=set)
    _blobs: set[str] = field(default_factory=set)

    def write(self, out: FolderWriter) -> Sent:
        """Write the export. Raises UsageError for an unknown run, NothingSelected if nothing is left to export."""
        with self.store.reading() as reader:
            runs = reader.runs()
            chosen = self._chosen(runs)
            self._private = sorted(name for name in reader.models() if not self.public.model(name))
            going = [row for row in chosen if self._goes(reader, row)]
            if not going:
                raise NothingSelected(_nothing(self.sent))
            compared = chain(self._comparisons(reader, going), self._received(reader))
            # {"key":"ab…
            for two, of_two in groupby(sorted_lines(compared), key=lambda line: line[8:10].decode()):
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
                out.lines(f"runs/{row.uid}/{RESOLUTIONS}", sorted_lines(map(forms.line, found)))
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
        """Whether a run has cells that may leave, or none at all; counts those that may not."""
        records = reader.records(row.id)
        kept = [record for record in records if not self.public.model(record.model)]
        self.sent.kept_back += sum(record.base is None for record in kept)
        self.sent.models |= {record.model for record in kept}
        return len(kept) < len(records) or not records

    def _units(self, reader: StoreReader, row: RunRow) -> Iterator[tuple[str, list[CellRecord]]]:
        records = [record for record in reader.records(row.id) if self.public.model(record.model)]
        for cell, of_cell in forms.units(records).items():
            if self.wanted.cell(cell):
                yield cell, of_cell

    def _comparisons(self, reader: StoreReader, rows: Iterable[RunRow]) -> Iterator[bytes]:
        """Yield the comparisons that cells were judged by, for machines without the arrays; once if a cell has the same
        observations in several runs."""
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
                    yield from self._compared(fresh)
                    fresh = []
            yield from self._compared(fresh)

    def _compared(self, records: list[CellRecord]) -> Iterator[bytes]:
        if records and self.config is not None:
            judge = Judge(self.config, self.store)
            judge.cells(records, {}, 0)
            for key, value in judge.comparisons.used().items():
                yield forms.line({"key": key, "value": value})

    def _received(self, reader: StoreReader) -> Iterator[bytes]:
        if self.config is None:
            for key, value in reader.all_comparisons():
                yield forms.line({"key": key, "value": value})

    def _run(self, reader: StoreReader, row: RunRow, out: FolderWriter) -> None:
        clean = forms.cleaner_for(row, self.cleaner)
        report = None if row.drift is None else union.drift_of_cells(clean.data(row.drift), self.public.cell)

        def command(text: str) -> str:
            return clean.text(plain(self.public.command(text, self._private)))

        out.page(f"runs/{row.uid}/run.json", forms.run_form(row, command, report))

    def _observations(self, reader: StoreReader, row: RunRow, numbers: Collection[int]) -> Iterator[bytes]:
        clean = forms.cleaner_for(row, self.cleaner)
        for number, columns in reader.observations(row.id, numbers):
            if number not in self._observed and not self.wanted.cell(columns["job"]):
                continue  # coverage, which belongs to no cell
            form = forms.observation_form(columns, clean)
            line = forms.line(form)
            self._names[number] = forms.content(line)
            self._blobs |= set(self._files(form))
            self.sent.observations += 1
            yield line

    def _files(self, form: dict[str, Any]) -> Iterator[str]:
        """Yield the files that go with an observation: its logs, and arrays if asked for; never models, weights and
        sources."""
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
            yield forms.line(forms.cell_form(cell, records, self._names.__getitem__))

    def _blames(self, reader: StoreReader, row: RunRow) -> Iterator[bytes]:
        clean = forms.cleaner_for(row, self.cleaner)
        for columns in reader.blames(row.id):
            if self.public.cell(columns["cell"]) and self.wanted.cell(columns["cell"]):
                yield forms.line(forms.blame_form(columns, clean))


def _nothing(sent: Sent) -> str:
    if sent.open:
        runs = ", ".join(map(str, sent.open))
        return f"run {runs} is still under way, and nothing else may leave this machine; export once it has ended"
    if sent.models:
        models = ", ".join(sorted(sent.models))
        return f"only models that are not in matrix.yml have cells ({models}); use --include NAME to export one"
    return "no run has ended yet: python -m matrix run"


def sorted_lines(lines: Iterable[bytes], budget: int = _SORTED_BYTES) -> Iterator[bytes]:
    """Yield each distinct line once, sorted and without its end; beyond `budget` bytes, lines are kept in files."""
    with contextlib.ExitStack() as stack:
        streams: list[Iterable[bytes]] = []
        held: list[bytes] = []
        size = 0
        for line in lines:
            held.append(line)
            size += len(line)
            if size > budget:
                file = stack.enter_context(tempfile.TemporaryFile())
                file.writelines(one + b"\n" for one in sorted(held))
                file.seek(0)
                streams.append(map(_without_end, file))
                held, size = [], 0
        yield from (line for line, _ in groupby(heapq.merge(*streams, sorted(held))))


def _without_end(line: bytes) -> bytes:
    return line.rstrip(b"\n")


def merge(folders: Sequence[Path], out: Path) -> Sent:
    """Write the union of exports, in any order, to `out`. Raises ConfigError for a folder that is not an export or is
    damaged, UsageError if `out` holds something else; both leave `out` as it is."""
    read = [Folder(folder) for folder in folders]
    with tempfile.TemporaryDirectory(prefix="matrix-merge-") as scratch:
        place = Path(scratch)
        with contextlib.closing(Store(f"sqlite:///{place / 'matrix.db'}", place / "blobs")) as store:
            Import(store, AsItIs()).take_in(read)
            with writing(out) as written:
                return Export(store, None, Public(None), AsItIs(), ExportSelection(arrays=True)).write(written)
