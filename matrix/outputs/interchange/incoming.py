"""From folders to a store: files first, then all rows in one transaction, so that nothing is ever half taken in."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json
from sqlalchemy.exc import IntegrityError

from matrix.outputs.interchange import canonical, forms, union
from matrix.outputs.interchange import drift_reports as drifted
from matrix.outputs.interchange.documents import BLAME, CELL, COMPARISON, OBSERVATION, RESOLUTION
from matrix.outputs.interchange.folder import BLAMES, CELLS, OBSERVATIONS, RESOLUTIONS, Folder, damaged, open_plain
from matrix.outputs.interchange.privacy import AsItIs, Cleaner
from matrix.store import CellRecord, Store
from matrix.store.runs import part_from_json, parts_of
from matrix.store.schema import RunRow
from matrix.store.transfer import StoreWriter

# So many rows are written at once.
_TOGETHER = 500

# As much as is ever read of a file of arrays.
_BLOB_CAP = 2**30


@dataclass
class Taken:
    """What was new; `more` counts the rest: locks, blames, comparisons, what searches did, parts of known runs.
    `lacking` are logs that observations speak of, and that are neither here nor in the export."""

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
    """A run as the store has it. `names` are the observations it had before, by number, `clean` is for their texts."""

    row: RunRow
    names: dict[int, str]
    clean: Cleaner


@dataclass
class Import:
    """`cleaner` is for what was observed on this machine: what comes back is recognised by what was sent."""

    store: Store
    cleaner: Cleaner
    taken: Taken = field(default_factory=Taken)
    _rows: dict[int, RunRow] = field(default_factory=dict)

    def take_in(self, folders: Iterable[Folder]) -> Taken:
        """Raises ConfigError, and leaves the store as it was, for anything that no export holds."""
        with self.store.writing() as writer:
            for folder in folders:
                try:
                    self._folder(writer, folder)
                except IntegrityError as error:
                    raise damaged(folder.root, "its files contradict each other: a cell is there twice") from error
            if self.taken.files:
                # Before any row speaks of them; one flush for all.
                os.sync()
        return self.taken

    def _folder(self, writer: StoreWriter, folder: Folder) -> None:
        for name, path in folder.blobs():
            with open_plain(path) as stream:
                if os.fstat(stream.fileno()).st_size > _BLOB_CAP:
                    raise damaged(path, f"more than {_BLOB_CAP // 2**20} MB")
                added = self.store.blobs.add(name, stream)
            if added is None:
                raise damaged(path, "its content is not what its name says")
            self.taken.files += added
        known = {row.uid: row for row in writer.runs()}
        self._rows = {row.id: row for row in known.values()}
        found = {uid: folder.run(uid) for uid in folder.runs()}
        numbers: dict[str, int] = {}
        created: dict[str, str] = {}
        of_run: dict[str, StoredRun] = {}
        # By time, so that numbers tell it too where the store was empty.
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

    def _run(self, writer: StoreWriter, row: RunRow | None, form: dict[str, Any], created: dict[str, str]) -> StoredRun:
        """The run's row, new or brought up to date."""
        if row is None:
            of_run = [part_from_json(part) for part in form["parts"]]
            number = writer.add_run(form["uid"], of_run, form["resolution"], _day(form["as_of"]), form["drift"])
            self.taken.runs += 1
            return StoredRun(RunRow(id=number, uid=form["uid"]), {}, AsItIs())
        clean = self._cleaner(row)
        theirs = {part["uid"]: part for part in form["parts"]}
        report = drifted.of_cells(clean.value(row.drift), lambda _: True) if row.drift is not None else None
        mine = forms.run_form(row, lambda text: text, report)
        for part in mine["parts"]:
            # Its command line may have lost a private model on the way out; it is the same part all the same.
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
            writer.set_run(row.id, merged, united["resolution"], _day(united["as_of"]), report)
        names = {}
        for number, columns in writer.observations(row.id):
            names[number] = self._name(columns, clean, created)
        return StoredRun(row, names, clean)

    def _cleaner(self, row: RunRow) -> Cleaner:
        return self.cleaner if forms.is_ours(row) else AsItIs()

    def _name(self, columns: Mapping[str, Any], clean: Cleaner, created: dict[str, str]) -> str:
        """The hash of an observation that the store has."""
        form = forms.observation_form(columns, clean)
        name = canonical.content(canonical.line(form))
        created[name] = form["created"]
        return name

    def _observations(
        self, writer: StoreWriter, folder: Folder, known: StoredRun, numbers: dict[str, int], created: dict[str, str]
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
            if canonical.line(form) != line:
                raise damaged(folder.root / place, "not as an export writes it", number)
            name = canonical.content(line)
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
        self, writer: StoreWriter, folder: Folder, known: StoredRun, numbers: Mapping[str, int], created: dict[str, str]
    ) -> None:
        place = f"runs/{known.row.uid}/{CELLS}"
        there = self._there(writer, known, numbers, created)
        waiting: list[CellRecord] = []
        outdated: list[str] = []
        before = ""

        def flush() -> None:
            writer.remove_cells(known.row.id, outdated)
            writer.add_cells(known.row.id, waiting)
            waiting.clear()
            outdated.clear()

        for number, _, read in folder.lines(place, CELL):
            form = read.model_dump()
            _tuples_to_lists(form)
            if form["cell"] == before:
                raise damaged(folder.root / place, f"{before} is there twice", number)
            before = form["cell"]
            if missing := union.observations_of(form) - numbers.keys():
                raise damaged(folder.root / place, f"no observation {min(missing)} in this folder", number)
            if form["decided"] is None and not form["searched"]:
                raise damaged(folder.root / place, "nothing is said of this cell", number)
            if (mine := there.get(form["cell"])) is not None:
                if union.cell(mine, form, created) == mine:
                    continue
                outdated += [form["cell"]] if mine["decided"] else []
                outdated += [item["cell"] for item in mine["searched"]]
            waiting += forms.cell_records(form, numbers.__getitem__)
            self.taken.cells += form["decided"] is not None
            self.taken.more += form["decided"] is None
            if len(waiting) >= _TOGETHER:
                flush()
        flush()

    def _there(
        self, writer: StoreWriter, known: StoredRun, numbers: Mapping[str, int], created: dict[str, str]
    ) -> dict[str, dict[str, Any]]:
        """The cells that the store has of the run, in the form of the files."""
        records = writer.records(known.row.id)
        if not records:
            return {}
        names = {**{number: name for name, number in numbers.items()}, **known.names}
        wanted = {number for record in records for number in record.observations}
        for run, missing in writer.makers(wanted - names.keys()).items():
            clean = self._cleaner(self._rows[run])
            for number, columns in writer.observations(run, missing):
                names[number] = self._name(columns, clean, created)

        def name(number: int | None) -> str | None:
            return None if number is None else names[number]

        return {cell: forms.cell_form(cell, of_cell, name) for cell, of_cell in forms.units(records).items()}

    def _resolutions(self, writer: StoreWriter, folder: Folder, known: StoredRun, digests: set[str]) -> None:
        place = f"runs/{known.row.uid}/{RESOLUTIONS}"
        there = {str(item["name"]): forms.resolution_form(item) for item in writer.resolutions(known.row.id)}
        for number, line, read in folder.lines(place, RESOLUTION):
            form = read.model_dump()
            if form["lock"] not in digests:
                raise damaged(folder.root / place, f"no lock {form['lock']} in this folder", number)
            mine = there.get(form["name"])
            if mine is not None and union.larger(canonical.line(mine), line) == canonical.line(mine):
                continue
            writer.set_resolution(known.row.id, {**form, "as_of": _day(form["as_of"])}, new=mine is None)
            there[form["name"]] = form
            self.taken.more += 1

    def _blames(self, writer: StoreWriter, folder: Folder, known: StoredRun) -> None:
        there = {canonical.line(forms.blame_form(item, known.clean)) for item in writer.blames(known.row.id)}
        for _, line, read in folder.lines(f"runs/{known.row.uid}/{BLAMES}", BLAME):
            if line in there:
                continue
            form = read.model_dump()
            created = dt.datetime.fromisoformat(form["created"])
            self.taken.more += 1
            writer.add_blame(
                known.row.id, {**form, "created": created, "story": {**form["story"], "run": known.row.id}}
            )

    def _comparisons(self, writer: StoreWriter, folder: Folder, place: str) -> None:
        for chunk in _chunks((line, read) for _, line, read in folder.lines(place, COMPARISON)):
            new = {read.key: read.value.model_dump() for _, read in chunk}
            there = writer.comparisons(new.keys())
            writer.add_comparisons({key: value for key, value in new.items() if key not in there})
            self.taken.more += len(new.keys() - there.keys())
            for key, mine in there.items():
                if union.comparison(mine, new[key]) != mine:
                    self.taken.more += 1
                    writer.set_comparison(key, new[key])


def _tuples_to_lists(form: dict[str, Any]) -> None:
    for item in form["searched"]:
        item["changes"] = [list(change) for change in item["changes"]]


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    held: list[Any] = []
    for item in items:
        held.append(item)
        if len(held) >= _TOGETHER:
            yield held
            held = []
    if held:
        yield held


def _day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text is not None else None
