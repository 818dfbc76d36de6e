"""Evidence as JSON that is quick to read: by columns, every text once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from itertools import compress
from types import EllipsisType
from typing import Any

from matrix.answers.evidence.known import Entry, Profile, ProfileKey
from matrix.answers.operators.coverage import Use
from matrix.judging.finding import Finding

SCHEMA = 2

# Columns whose values come again and again: the column holds their numbers.
_SHARED = frozenset(
    {"model", "exporter", "converter", "finding", "remedies", "exporter_lock", "converter_lock", "date", "run"}
)  # fmt: skip
_COLUMNS = Entry._fields


class _PackedTable:
    """Values by number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def number(self, value: Any) -> int:
        if value not in self._numbers:
            self._numbers[value] = len(self.values)
            self.values.append(value)
        return self._numbers[value]


def pack(entries: Sequence[Entry], profiles: Mapping[ProfileKey, Profile]) -> dict[str, Any]:
    """Of the same evidence in the same order always the same value."""
    shared = {name: _PackedTable() for name in sorted(_SHARED)}
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    for entry in entries:
        for name in _COLUMNS:
            value = getattr(entry, name)
            columns[name].append(shared[name].number(value) if name in _SHARED else value)
    uses, written, rows = _PackedTable(), _PackedTable(), []
    for profile in profiles.values():
        what = (profile.opset_written, profile.ir_version, tuple(uses.number(use) for use in profile.uses))
        rows.append([*profile.key, written.number(what)])
    values = {name: table.values for name, table in shared.items()}
    return {
        "schema": SCHEMA,
        "shared": {
            **values,
            "date": [date.isoformat() for date in values["date"]],
            "finding": [list(astuple(finding)) for finding in values["finding"]],
        },
        "columns": columns,
        "uses": [[use.operator, dict(use.modes), use.given] for use in uses.values],
        "written": written.values,
        "profiles": rows,
    }


def fits(value: Mapping[str, Any]) -> bool:
    """Whether it is evidence of this schema."""
    return value.get("schema") == SCHEMA and all(name in value.get("columns", {}) for name in _COLUMNS)


def newest(
    packed: Iterable[Mapping[str, Any]], enough: int | None = None, model: str | None = None
) -> tuple[list[Entry], dict[ProfileKey, Profile]]:
    """Every cell and every profile once, as the first of these values has them; a finding goes before what is
    indeterminate, whichever came first. Once there are `enough` cells, of further values only those of `model`."""
    found: dict[str, Entry] = {}
    profiles: dict[ProfileKey, Profile] = {}
    contents: dict[tuple[Use, ...], tuple[Use, ...]] = {}
    for value in packed:
        only = model if enough is not None and len(found) >= enough else ...
        for entry in map(Entry._make, _rows(value, only)):
            known = found.get(entry.cell)
            if known is None or (known.finding.indeterminate and not entry.finding.indeterminate):
                found[entry.cell] = entry
        _add_profiles(value, profiles, contents, only)
    return list(found.values()), profiles


def _rows(value: Mapping[str, Any], only: str | EllipsisType | None) -> Iterator[tuple[Any, ...]]:
    """`only` a model, none of them (None), or all (...)."""
    if only is not ... and only not in value["shared"]["model"]:
        return iter(())
    chosen: list[bool] | None = None
    if only is not ...:
        number = value["shared"]["model"].index(only)
        chosen = [item == number for item in value["columns"]["model"]]
    columns = []
    for name in _COLUMNS:
        column = value["columns"][name]
        if chosen is not None:
            column = list(compress(column, chosen))
        if name in _SHARED:
            table = value["shared"][name]
            if name == "date":
                table = [dt.date.fromisoformat(text) for text in table]
            elif name == "finding":
                table = [Finding(*parts) for parts in table]
            elif name == "remedies":
                table = [tuple((kind, words) for kind, words in changes) for changes in table]
            column = map(table.__getitem__, column)
        columns.append(column)
    return zip(*columns, strict=True)


def _add_profiles(
    value: Mapping[str, Any],
    profiles: dict[ProfileKey, Profile],
    contents: dict[tuple[Use, ...], tuple[Use, ...]],
    only: str | EllipsisType | None,
) -> None:
    """`contents` makes equal uses one object, in all values: much is remembered by it."""
    rows = [
        row for row in value["profiles"] if (only is ... or row[0] == only) and (row[0], row[1], row[2]) not in profiles
    ]
    if not rows:
        return
    uses = [Use(operator, tuple(sorted(modes.items())), given) for operator, modes, given in value["uses"]]
    written: dict[int, tuple[int | None, int | None, tuple[Use, ...]]] = {}
    for model, exporter, opset, number in rows:
        if number not in written:
            opset_written, ir_version, numbers = value["written"][number]
            content = tuple(uses[item] for item in numbers)
            written[number] = (opset_written, ir_version, contents.setdefault(content, content))
        profiles[model, exporter, opset] = Profile(model, exporter, opset, *written[number])
