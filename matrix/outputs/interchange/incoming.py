"""Import exports into a store: files first, then all rows in one transaction, so that nothing is half imported."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from pydantic_core import from_json
from sqlalchemy.exc import IntegrityError

from matrix.outputs.interchange import forms, union
from matrix.outputs.interchange.documents import BlameLine, CellLine, ComparisonLine, ObservationLine, ResolutionLine
from matrix.outputs.interchange.folder import BLAMES, CELLS, OBSERVATIONS, RESOLUTIONS, Folder, damaged, open_plain
from matrix.outputs.privacy import AsItIs, Cleaner
from matrix.store import CellRecord, Store
from matrix.store.runs import part_from_json, parts_of
from matrix.store.schema import RunRow
from matrix.store.transfer import StoreWriter

# The number of rows written at once.
_TOGETHER = 500

# The most that is read of a file of arrays.
_BLOB_CAP = 2**30


@dataclass
class Taken:
    """Counts of new rows and files; `more` counts the rest: locks, blames, comparisons, searches, parts of known runs.
    `lacking` counts logs that observations name and that are neither here nor in the export."""

    runs: int = 0
    cells: int = 0
    observations: int = 0
    files: int = 0
    more: int = 0
    lacking: int = 0

    def __bool__(self) -> bool:
        return bool(self.runs or self.cells or self.observations or self.files or self.more)


@dataclass
class StoredRun:
    """A run of the store. `names` are the hashes of the observations it had before, by number; `clean` is for their
    texts."""

    row: RunRow
    names: dict[int, str]
    clean: Cleaner


@dataclass
class Import:
    """`cleaner` is for observations of this machine, so that they are recognised when they come back."""

    store: Store
    cleaner: Cleaner
    taken: Taken = field(default_factory=Taken)

    def take_in(self, folders: Iterable[Folder]) -> Taken:
        """Import the folders. Raises ConfigError, and leaves the store as it was, for content that no export holds."""
        with self.store.writing() as writer:
            for folder in folders:
                try:
                    _FolderImport(self.store, self.cleaner, self.taken, writer, folder).take_in()
                except IntegrityError as error:
                    raise damaged(folder.root, "its files contradict each other: a cell occurs twice") from error
            if self.taken.files:
                # Before any row names them; one flush for all.
                os.sync()
        return self.taken


@dataclass
class _FolderImport:
    """One folder. `_numbers` are its observations in the store, `_created` the times of all seen, both by hash."""

    store: Store
    cleaner: Cleaner
    taken: Taken
    writer: StoreWriter
    folder: Folder
    _rows: dict[int, RunRow] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _created: dict[str, str] = field(default_factory=dict)

    def take_in(self) -> None:
        for name, path in self.folder.blobs():
            with open_plain(path) as stream:
                if os.fstat(stream.fileno()).st_size > _BLOB_CAP:
                    raise damaged(path, f"more than {_BLOB_CAP // 2**20} MB")
                added = self.store.blobs.add(name, stream)
            if added is None:
                raise damaged(path, "its content does not match its name")
            self.taken.files += added
        known = {row.uid: row for row in self.writer.runs()}
        self._rows = {row.id: row for row in known.values()}
        found = [self.folder.run(uid) for uid in self.folder.runs()]
        # By time, so that in an empty store the numbers follow it too.
        found.sort(key=lambda form: (min(part["started"] for part in form["parts"]), form["uid"]))
        runs = [self._run(known.get(form["uid"]), form) for form in found]
        for run in runs:
            self._observations(run)
        digests = {*self.folder.locks()}
        for digest in sorted(digests):
            self.writer.add_lock(digest, self.folder.lock(digest))
        for run in runs:
            self._cells(run)
            self._resolutions(run, digests)
            self._blames(run)
        for place in self.folder.comparisons():
            self._comparisons(place)

    def _run(self, row: RunRow | None, form: dict[str, Any]) -> StoredRun:
        """Add the run, or bring its row up to date."""
        if row is None:
            of_run = [part_from_json(part) for part in form["parts"]]
            number = self.writer.add_run(form["uid"], of_run, form["resolution"], _day(form["as_of"]), form["drift"])
            self.taken.runs += 1
            return StoredRun(RunRow(id=number, uid=form["uid"]), {}, AsItIs())
        clean = forms.cleaner_for(row, self.cleaner)
        theirs = {part["uid"]: part for part in form["parts"]}
        report = union.drift_of_cells(clean.data(row.drift), lambda _: True) if row.drift is not None else None
        mine = forms.run_form(row, lambda text: text, report)
        for part in mine["parts"]:
            # Its command line may have lost a private model on the way out; it is still the same part.
            command = theirs.get(part["uid"], part)["command"]
            if {**part, "command": command} == theirs.get(part["uid"]):
                part["command"] = command
        united = union.run(mine, form)
        if united != mine:
            ours = {part.uid: part for part in parts_of(row)}
            kept = {part["uid"]: part for part in mine["parts"]}
            merged = [
                ours[part["uid"]] if kept.get(part["uid"]) == part else part_from_json(part) for part in united["parts"]
            ]
            report = row.drift if united["drift"] == mine["drift"] else united["drift"]
            self.taken.more += 1
            self.writer.set_run(row.id, merged, united["resolution"], _day(united["as_of"]), report)
        names = {number: self._name(columns, clean) for number, columns in self.writer.observations(row.id)}
        return StoredRun(row, names, clean)

    def _name(self, columns: Mapping[str, Any], clean: Cleaner) -> str:
        """Return the hash of an observation that the store has."""
        form = forms.observation_form(columns, clean)
        name = forms.content(forms.line(form))
        self._created[name] = form["created"]
        return name

    def _observations(self, known: StoredRun) -> None:
        place = f"runs/{known.row.uid}/{OBSERVATIONS}"
        there = {name: number for number, name in known.names.items()}
        waiting: dict[str, dict[str, Any]] = {}

        def flush() -> None:
            made = self.writer.add_observations(known.row.id, [*waiting.values()])
            self.taken.observations += len(made)
            self._numbers.update(zip(waiting, made, strict=True))
            waiting.clear()

        for number, line, _ in self.folder.lines(place, ObservationLine):
            form = from_json(line)
            if forms.line(form) != line:
                raise damaged(self.folder.root / place, "it differs from the form that an export writes", number)
            name = forms.content(line)
            self._created[name] = form["created"]
            if name in there:
                self._numbers[name] = there[name]
                continue
            logs = {record["log"] for record in form["payload"]["passes"]} - {""}
            self.taken.lacking += len(logs - self.store.blobs.existing(logs))
            waiting[name] = {**form, "created": dt.datetime.fromisoformat(form["created"])}
            if len(waiting) >= _TOGETHER:
                flush()
        flush()

    def _cells(self, known: StoredRun) -> None:
        place = self.folder.root / f"runs/{known.row.uid}/{CELLS}"
        there = self._there(known)
        waiting: list[CellRecord] = []
        outdated: list[str] = []
        before = ""

        def flush() -> None:
            self.writer.remove_cells(known.row.id, outdated)
            self.writer.add_cells(known.row.id, waiting)
            waiting.clear()
            outdated.clear()

        for number, _, read in self.folder.lines(f"runs/{known.row.uid}/{CELLS}", CellLine):
            form = read.model_dump()
            if form["cell"] == before:
                raise damaged(place, f"{before} occurs twice", number)
            before = form["cell"]
            if missing := union.observations_of(form) - self._numbers.keys():
                raise damaged(place, f"no observation {min(missing)} in this folder", number)
            if form["decided"] is None and not form["searched"]:
                raise damaged(place, "the cell has neither a decision nor a search", number)
            if (mine := there.get(form["cell"])) is not None:
                if union.cell(mine, form, self._created) == mine:
                    continue
                outdated += [form["cell"]] if mine["decided"] else []
                outdated += [item["cell"] for item in mine["searched"]]
            waiting += forms.cell_records(form, self._numbers)
            self.taken.cells += form["decided"] is not None
            self.taken.more += form["decided"] is None
            if len(waiting) >= _TOGETHER:
                flush()
        flush()

    def _there(self, known: StoredRun) -> dict[str, dict[str, Any]]:
        """Return the cells that the store has of the run, in the form of the files."""
        records = self.writer.records(known.row.id)
        names = {**{number: name for name, number in self._numbers.items()}, **known.names}
        wanted = {number for record in records for number in record.observations}
        for run, missing in self.writer.makers(wanted - names.keys()).items():
            clean = forms.cleaner_for(self._rows[run], self.cleaner)
            names |= {number: self._name(columns, clean) for number, columns in self.writer.observations(run, missing)}
        named = names.__getitem__
        return {cell: forms.cell_form(cell, of_cell, named) for cell, of_cell in forms.units(records).items()}

    def _resolutions(self, known: StoredRun, digests: set[str]) -> None:
        place = f"runs/{known.row.uid}/{RESOLUTIONS}"
        there = {str(item["name"]): forms.resolution_form(item) for item in self.writer.resolutions(known.row.id)}
        for number, line, read in self.folder.lines(place, ResolutionLine):
            form = read.model_dump()
            if form["lock"] not in digests:
                raise damaged(self.folder.root / place, f"no lock {form['lock']} in this folder", number)
            mine = there.get(form["name"])
            # Of two that cannot both be right, neither is known to be the later one: the larger line counts.
            if mine is not None and forms.line(mine) >= line:
                continue
            self.writer.set_resolution(known.row.id, {**form, "as_of": _day(form["as_of"])}, new=mine is None)
            there[form["name"]] = form
            self.taken.more += 1

    def _blames(self, known: StoredRun) -> None:
        run = known.row.id
        there = {forms.line(forms.blame_form(item, known.clean)) for item in self.writer.blames(run)}
        for _, line, read in self.folder.lines(f"runs/{known.row.uid}/{BLAMES}", BlameLine):
            if line not in there:
                form = read.model_dump()
                form |= {"created": dt.datetime.fromisoformat(form["created"]), "story": {**form["story"], "run": run}}
                self.taken.more += 1
                self.writer.add_blame(run, form)

    def _comparisons(self, place: str) -> None:
        lines = self.folder.lines(place, ComparisonLine)
        while chunk := [*islice(lines, _TOGETHER)]:
            new = {read.key: read.value.model_dump() for _, _, read in chunk}
            there = self.writer.comparisons(new.keys())
            self.writer.add_comparisons({key: value for key, value in new.items() if key not in there})
            self.taken.more += len(new.keys() - there.keys())
            for key, mine in there.items():
                if union.comparison(mine, new[key]) != mine:
                    self.taken.more += 1
                    self.writer.set_comparison(key, new[key])


def _day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text is not None else None
