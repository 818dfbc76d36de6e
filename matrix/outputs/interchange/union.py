"""What becomes of the same run, cell or resolution told twice. Whatever the order, the outcome is the same. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matrix.judging.comparisons import is_of_today
from matrix.outputs.interchange import drift_reports as drifted
from matrix.outputs.interchange.canonical import line


def run(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two forms of a run.json. A part that was continued is told by the later of the two."""
    parts: dict[str, Mapping[str, Any]] = {}
    for part in (*one["parts"], *other["parts"]):
        known = parts.get(part["uid"], part)
        parts[part["uid"]] = max(known, part, key=lambda item: (item["ended"] or item["started"], line(item)))
    head = max(one, other, key=lambda item: line([item["resolution"], item["as_of"]]))
    return {
        "uid": one["uid"],
        "resolution": head["resolution"],
        "as_of": head["as_of"],
        "drift": drifted.united(one["drift"], other["drift"]),
        "parts": [parts[uid] for uid in sorted(parts)],
    }


def observations_of(cell: Mapping[str, Any]) -> set[str]:
    """The hashes of all observations that a line of cells.jsonl names."""
    records = [*cell["searched"], *([cell["decided"]] if cell["decided"] else [])]
    named = {record[name] for record in records for name in ("export", "reference", "convert")}
    named |= {name for record in cell["searched"] for name in (*record["alter"], record["expose"], record["trace"])}
    return named - {None}


def cell(one: Mapping[str, Any], other: Mapping[str, Any], created: Mapping[str, str]) -> Mapping[str, Any]:
    """A cell of a run decided twice: as it was decided later, with all that was done for it then. `created` tells by
    hash when an observation was made."""
    if one == other:
        return one
    return max(one, other, key=lambda item: (max(created[name] for name in observations_of(item)), line(item)))


def comparison(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    """What comparing the same arrays gave: as today's method has it, for an older one may have been wrong."""
    return max(one, other, key=lambda value: (is_of_today(value), line(value)))


def larger(one: bytes, other: bytes) -> bytes:
    """Of two lines that cannot both be; neither is known to be the later one."""
    return max(one, other)
