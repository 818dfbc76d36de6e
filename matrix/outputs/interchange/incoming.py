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
from matrix.outputs.interchange.documents import BLAME, CELL, COMPARISON, OBSERVATION, RESOLUTION
from matrix.outputs.interchange.folder import BLAMES, CELLS, OBSERVATIONS, RESOLUTIONS, Folder, damaged, open_plain
from matrix.outputs.privacy import AsItIs, Cleaner
from matrix.store import CellRecord, Store, parts
from matrix.store.exchange import Writer
from matrix.store.schema import RunRow

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
    _rows: dict[int, RunRow] = field(default_factory=dict)

    def take_in(self, folders: Iterable[Folder]) -> Taken:
        """Import the folders. Raises ConfigError, and leaves the store as it was, for content that no export holds."""
        with self.store.exchange.writing() as writer:
            for folder in folders:
                try:
                    self._folder(writer, folder)
                except IntegrityError as error:
                    raise damaged(folder.root, "its files contradict each other: a cell occurs twice") from error
            if self.taken.files:
                # Before any row names them; one flush for all.
                os.sync()
        return self.taken

    def _folder(self, writer: Writer, folder: Folder) -> None:
        for name, path in folder.blobs():
            with open_plain(path) as stream:
                if os.fstat(stream.fileno()).st_size > _BLOB_CAP:
                    raise damaged(path, f"more than {_BLOB_CAP // 2**20} MB")
                added = self.store.blobs.add(name, stream)
            if added is None:
                raise damaged(path, "its content does not match its name")
            self.taken.files += added
        known = {row.uid: row for row in writer.runs()}
        self._rows = {row.id: row for row in known.values()}
        found = {uid: folder.run(uid) for uid in folder.runs()}
        numbers: dict[str, int] = {}
        created: dict[str, str] = {}
        of_run: dict[str, StoredRun] = {}
        # By time, so that in an empty store the numbers follow it too.
        order = sorted(found, key=lambda uid: (min(part["started"] for part in found[uid]["parts"]), uid))
        for uid in order:
            of_run[uid] = self._run(writer, known.get(uid), found[uid], created)
        for uid in order:
            self._observations(writer, folder, of_run[uid], numbers, created)
        for digest in folder.locks():
            writer.add_lock(digest, folder.lock(digest))
        digests = {*folder.locks()}
        for uid in order:
            self._cells(writer, folder, of_run[uid], numbers, created)
            self._resolutions(writer, folder, of_run[uid], digests)
            self._blames(writer, folder, of_run[uid])
        for place in folder.comparisons():
            self._comparisons(writer, folder, place)

    def _run(self, writer: Writer, row: RunRow | None, form: dict[str, Any], created: dict[str, str]) -> StoredRun:
        """Add the run, or bring its row up to date."""
        if row is None:
            of_run = [parts.from_json(part) for part in form["parts"]]
            number = writer.add_run(form["uid"], of_run, form["resolution"], _day(form["as_of"]), form["drift"])
            self.taken.runs += 1
            return StoredRun(RunRow(id=number, uid=form["uid"]), {}, AsItIs())
        clean = self._cleaner(row)
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
            ours = {part.uid: part for part in parts.of_run(row)}
            kept = {part["uid"]: part for part in mine["parts"]}
            merged = [
                ours[part["uid"]] if kept.get(part["uid"]) == part else parts.from_json(part)
                for part in united["parts"]
            ]
            report = row.drift if united["drift"] == mine["drift"] else united["drift"]
            self.taken.more += 1
            writer.set_run(row.id, merged, united["resolution"], _day(united["as_of"]), report)
        names = {}
        for number, columns in writer.observations(row.id):
            names[number] = self._name(columns, clean, created)
        return StoredRun(row, names, clean)

    def _cleaner(self, row: RunRow) -> Cleaner:
        return self.cleaner if forms.is_ours(row) else AsItIs()

    def _name(self, columns: Mapping[str, Any], clean: Cleaner, created: dict[str, str]) -> str:
        """Return the hash of an observation that the store has."""
        form = forms.observation_form(columns, clean)
        name = forms.content(forms.line(form))
        created[name] = form["created"]
        return name

    def _observations(
        self, writer: Writer, folder: Folder, known: StoredRun, numbers: dict[str, int], created: dict[str, str]
    ) -> None:
        place = f"runs/{known.row.uid}/{OBSERVATIONS}"
        there = {name: number for number, name in known.names.items()}
        waiting: dict[str, dict[str, Any]] = {}

        def flush() -> None:
            made = writer.add_observations(known.row.id, [*waiting.values()])
            self.taken.observations += len(made)
            numbers.update(zip(waiting, made, strict=True))
            waiting.clear()

        for number, line, _ in folder.lines(place, OBSERVATION):
            form = from_json(line)
            if forms.line(form) != line:
                raise damaged(folder.root / place, "it differs from the form that an export writes", number)
            name = forms.content(line)
            created[name] = form["created"]
            if name in there:
                numbers[name] = there[name]
                continue
            logs = {record["log"] for record in form["payload"]["passes"]}
            named = {log for log in logs if log}
            self.taken.lacking += len(named - self.store.blobs.existing(named))
            waiting[name] = {**form, "created": dt.datetime.fromisoformat(form["created"])}
            if len(waiting) >= _TOGETHER:
                flush()
        flush()

    def _cells(
        self, writer: Writer, folder: Folder, known: StoredRun, numbers: Mapping[str, int], created: dict[str, str]
    ) -> None:
        place = f"runs/{known.row.uid}/{CELLS}"
        there = self._there(writer, known, numbers, created)
        waiting: list[CellRecord] = []
        outdated: list[str] = []
        before = ""

        def flush() -> None:
            writer.forget_cells(known.row.id, outdated)
            writer.add_cells(known.row.id, waiting)
            waiting.clear()
            outdated.clear()

        for number, _, read in folder.lines(place, CELL):
            form = read.model_dump()
            for item in form["searched"]:
                item["changes"] = [list(change) for change in item["changes"]]
            if form["cell"] == before:
                raise damaged(folder.root / place, f"{before} occurs twice", number)
            before = form["cell"]
            if missing := union.observations_of(form) - numbers.keys():
                raise damaged(folder.root / place, f"no observation {min(missing)} in this folder", number)
            if form["decided"] is None and not form["searched"]:
                raise damaged(folder.root / place, "the cell has neither a decision nor a search", number)
            if (mine := there.get(form["cell"])) is not None:
                if union.cell(mine, form, created) == mine:
                    continue
                outdated += [form["cell"]] if mine["decided"] else []
                outdated += [item["cell"] for item in mine["searched"]]
            waiting += forms.cell_records(form, numbers)
            self.taken.cells += form["decided"] is not None
            self.taken.more += form["decided"] is None
            if len(waiting) >= _TOGETHER:
                flush()
        flush()

    def _there(
        self, writer: Writer, known: StoredRun, numbers: Mapping[str, int], created: dict[str, str]
    ) -> dict[str, dict[str, Any]]:
        """Return the cells that the store has of the run, in the form of the files."""
        records = writer.records(known.row.id)
        if not records:
            return {}
        names = {**{number: name for name, number in numbers.items()}, **known.names}
        wanted = {number for record in records for number in record.observations}
        for run, missing in writer.makers(wanted - names.keys()).items():
            clean = self._cleaner(self._rows[run])
            for number, columns in writer.observations(run, missing):
                names[number] = self._name(columns, clean, created)
        named = names.__getitem__
        return {cell: forms.cell_form(cell, of_cell, named) for cell, of_cell in forms.units(records).items()}

    def _resolutions(self, writer: Writer, folder: Folder, known: StoredRun, digests: set[str]) -> None:
        place = f"runs/{known.row.uid}/{RESOLUTIONS}"
        there = {str(item["name"]): forms.resolution_form(item) for item in writer.resolutions(known.row.id)}
        for number, line, read in folder.lines(place, RESOLUTION):
            form = read.model_dump()
            if form["lock"] not in digests:
                raise damaged(folder.root / place, f"no lock {form['lock']} in this folder", number)
            mine = there.get(form["name"])
            # Of two that cannot both be right, neither is known to be the later one: the larger line counts.
            if mine is not None and forms.line(mine) >= line:
                continue
            writer.set_resolution(known.row.id, {**form, "as_of": _day(form["as_of"])}, new=mine is None)
            there[form["name"]] = form
            self.taken.more += 1

    def _blames(self, writer: Writer, folder: Folder, known: StoredRun) -> None:
        there = {forms.line(forms.blame_form(item, known.clean)) for item in writer.blames(known.row.id)}
        for _, line, read in folder.lines(f"runs/{known.row.uid}/{BLAMES}", BLAME):
            if line in there:
                continue
            form = read.model_dump()
            created = dt.datetime.fromisoformat(form["created"])
            self.taken.more += 1
            writer.add_blame(
                known.row.id, {**form, "created": created, "story": {**form["story"], "run": known.row.id}}
            )

    def _comparisons(self, writer: Writer, folder: Folder, place: str) -> None:
        lines = folder.lines(place, COMPARISON)
        while chunk := [*islice(lines, _TOGETHER)]:
            new = {read.key: read.value.model_dump() for _, _, read in chunk}
            there = writer.comparisons(new.keys())
            writer.add_comparisons({key: value for key, value in new.items() if key not in there})
            self.taken.more += len(new.keys() - there.keys())
            for key, mine in there.items():
                if union.comparison(mine, new[key]) != mine:
                    self.taken.more += 1
                    writer.set_comparison(key, new[key])


def _day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text is not None else None
