"""Variant rows for versions that are not in the table (`--with tensorflow==2.11.0`), made of the closest rows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import TypeVar

from packaging.version import Version

from matrix.core.errors import UsageError
from matrix.table.check import problems
from matrix.table.ids import changed_id
from matrix.table.model import Config, ExporterRow, Row, Via

AnyRow = TypeVar("AnyRow", bound=Row)


def with_pins(config: Config, pins: Mapping[str, str], family: str | None = None) -> tuple[Config, tuple[str, ...]]:
    """Return the table with variant rows added, and their ids.

    Pins of packages that exporters pin (torch, …) make an exporter row, others a converter row; with a `family` all of
    them make a converter row of that. Raises UsageError for a package that no row pins, or a version that is not in the
    table's `onnx` and `torch` sections.
    """
    pinned = {package for row in config.exporters for package in row.pins} if family is None else set()
    on_exporter = {p: v for p, v in pins.items() if p in pinned}
    on_converter = {p: v for p, v in pins.items() if p not in on_exporter}
    made: list[str] = []
    if on_converter:
        able = (row for row in config.converters if row.companions and family in (None, row.family))
        for row in _neighbours(tuple(able), on_converter):
            rows, name = _added(config.converters, _variant(row, on_converter))
            config = config.model_copy(update={"converters": rows})
            made.append(name)
    if on_exporter:
        changed_rows = [
            _variant(exporter, on_exporter).model_copy(
                update={"builds": {}, "current": False, "via": _possible(config, exporter, on_exporter)}
            )
            for exporter in _neighbours(config.exporters, on_exporter)
        ]
        # Of two with the same pins the first stays: the one with more exporters.
        for changed in sorted(changed_rows, key=lambda row: -len(row.via)):
            exporters, name = _added(config.exporters, changed)
            config = config.model_copy(update={"exporters": exporters})
            made.append(name)
    wrong = problems(config)
    if wrong:
        raise UsageError("--with: " + "; ".join(message for _, message in wrong))
    return config, tuple(dict.fromkeys(made))


def _possible(config: Config, row: ExporterRow, pins: Mapping[str, str]) -> tuple[Via, ...]:
    """Return the row's exporters that a release of torch has: one older than the row's may lack the dynamo exporter."""
    torch = pins.get("torch", row.pins["torch"])
    dynamo = any(release.dynamo for release in config.torch if release.version == torch)
    return tuple(via for via in row.via if via != "dynamo" or dynamo) or ("torchscript",)


def _added(rows: tuple[AnyRow, ...], row: AnyRow) -> tuple[tuple[AnyRow, ...], str]:
    """Add a row unless there is one with the same pins. Return the rows, and the id of the one with these pins."""
    same = next((known for known in rows if known.pins == row.pins), None)
    return (rows, same.id) if same is not None else ((*rows, row), row.id)


def _variant(row: AnyRow, pins: Mapping[str, str]) -> AnyRow:
    changed = {p: v for p, v in pins.items() if row.pins.get(p) != v}
    if not changed:
        return row
    name = changed_id(row.id, (f"{package}{version}" for package, version in sorted(changed.items())))
    # The Python and the date of the row were chosen for its own pins.
    return row.model_copy(
        update={
            "id": name,
            "pins": {**row.pins, **pins},
            "python": None,
            "as_of": None,
            "note": f"{row.id}, changed",
        }
    )


def _neighbours(rows: tuple[AnyRow, ...], pins: Mapping[str, str]) -> list[AnyRow]:
    """Return the closest row below and the closest above, or the one row that has all of the pins.

    Both, because the companions of a version change between two rows, and only the resolver knows on which side. Close
    means: most pins in common, then nearest in version; among equals the later row. Raises UsageError for a package
    that no row pins.
    """
    for package in pins:
        if not any(package in row.pins for row in rows):
            known = sorted({p for row in rows for p in row.pins})
            raise UsageError(f"--with: no row pins {package}; rows pin {', '.join(known)}")

    def distance(indexed: tuple[int, AnyRow]) -> tuple[int, list[tuple[int, ...]], int]:
        index, row = indexed
        differing = sum(row.pins.get(p) != v for p, v in pins.items())
        apart = [_apart(row.pins[p], v) if p in row.pins else (10**9,) for p, v in pins.items()]
        return differing, apart, -index

    ranked = [row for _, row in sorted(enumerate(rows), key=distance)]
    best = ranked[0]
    if all(best.pins.get(p) == v for p, v in pins.items()):
        return [best]
    first = next(p for p, v in pins.items() if best.pins.get(p) != v)

    def above(row: AnyRow) -> bool:
        return first in row.pins and Version(row.pins[first]) > Version(pins[first])

    alike = (row for row in ranked if getattr(row, "family", None) == getattr(best, "family", None))
    other = next((row for row in alike if above(row) != above(best)), None)
    return [best] if other is None else [best, other]


def _apart(one: str, other: str) -> tuple[int, ...]:
    return tuple(abs(a - b) for a, b in zip_longest(Version(one).release, Version(other).release, fillvalue=0))
