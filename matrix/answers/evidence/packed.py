"""Evidence as JSON that loads quickly: by columns, with every text written once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from functools import cache
from itertools import compress
from types import EllipsisType
from typing import Any

from matrix.answers.evidence.records import Entry, Profile, ProfileKey
from matrix.answers.operators import Numbering, Use
from matrix.judging.finding import Finding

SCHEMA = 2

_COLUMNS = Entry._fields

# Columns with few distinct values: these are stored once, and the column holds their numbers.
_SHARED = frozenset(
    {"model", "exporter", "converter", "finding", "remedies", "exporter_lock", "converter_lock", "date", "run"}
)  # fmt: skip

_FROM_JSON: dict[str, Callable[[Any], Any]] = {
    "date": dt.date.fromisoformat,
    "finding": lambda parts: Finding(*parts),
    "remedies": lambda changes: tuple((kind, words) for kind, words in changes),
}


def pack(entries: Sequence[Entry], profiles: Mapping[ProfileKey, Profile]) -> dict[str, Any]:
    """Return JSON-ready data: the same evidence in the same order gives the same data."""
    shared = {name: Numbering[Any]() for name in sorted(_SHARED)}
    columns = {name: [getattr(entry, name) for entry in entries] for name in _COLUMNS}
    for name, numbering in shared.items():
        columns[name] = [numbering.of(value) for value in columns[name]]
    uses, written = Numbering[Use](), Numbering[tuple[int | None, int | None, tuple[int, ...]]]()
    rows = [
        [*profile.key, written.of((profile.opset_written, profile.ir_version, tuple(map(uses.of, profile.uses))))]
        for profile in profiles.values()
    ]
    return {
        "schema": SCHEMA,
        "shared": {
            **{name: list(numbering.seen) for name, numbering in shared.items()},
            "date": [date.isoformat() for date in shared["date"].seen],
            "finding": [list(astuple(finding)) for finding in shared["finding"].seen],
        },
        "columns": columns,
        "uses": [[use.operator, dict(use.modes), use.given] for use in uses.seen],
        "written": list(written.seen),
        "profiles": rows,
    }


def fits(value: Mapping[str, Any]) -> bool:
    """Whether a value is evidence of this schema."""
    return value.get("schema") == SCHEMA and all(name in value.get("columns", {}) for name in _COLUMNS)


def newest(
    packed: Iterable[Mapping[str, Any]], enough: int | None = None, model: str | None = None
) -> tuple[list[Entry], dict[ProfileKey, Profile]]:
    """Unpack values, newest first, to every cell and every profile once: the first one found, but any finding takes
    precedence over an indeterminate one. After `enough` cells, read only those of `model` from further values."""
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
    """Yield the rows of `only` one model, of none (None), or of all (...)."""
    columns, shared = value["columns"], value["shared"]
    if only is not ...:
        if only not in shared["model"]:
            return iter(())
        number = shared["model"].index(only)
        chosen = [item == number for item in columns["model"]]
        columns = {name: list(compress(columns[name], chosen)) for name in _COLUMNS}
    tables = {name: shared[name] for name in _SHARED}
    tables |= {name: list(map(decode, shared[name])) for name, decode in _FROM_JSON.items()}
    return zip(
        *(map(tables[name].__getitem__, columns[name]) if name in tables else columns[name] for name in _COLUMNS),
        strict=True,
    )


def _add_profiles(
    value: Mapping[str, Any],
    profiles: dict[ProfileKey, Profile],
    contents: dict[tuple[Use, ...], tuple[Use, ...]],
    only: str | EllipsisType | None,
) -> None:
    """Add the profiles of `only` one model, of none (None), or of all (...). `contents` maps equal uses to one object
    across values: caches are keyed by it."""
    rows = [
        row for row in value["profiles"] if (only is ... or row[0] == only) and (row[0], row[1], row[2]) not in profiles
    ]
    if not rows:
        return
    uses = [Use(operator, tuple(sorted(modes.items())), given) for operator, modes, given in value["uses"]]

    @cache
    def written(number: int) -> tuple[int | None, int | None, tuple[Use, ...]]:
        opset, ir_version, numbers = value["written"][number]
        content = tuple(uses[item] for item in numbers)
        return opset, ir_version, contents.setdefault(content, content)

    for model, exporter, opset, number in rows:
        profiles[model, exporter, opset] = Profile(model, exporter, opset, *written(number))
