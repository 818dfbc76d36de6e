"""Drift reports: without the cells that stay here, and two of one run put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from matrix.answers.drift.document import Totals, sentence
from matrix.outputs.interchange.canonical import line

_OF_CELLS = ("verdicts", "unknown")


def of_cells(report: Mapping[str, Any], wanted: Callable[[str], bool]) -> dict[str, Any]:
    """The report without what it says of other cells, in the order of names."""
    rows = [
        {
            **row,
            "verdicts": [one for one in row.get("verdicts", []) if wanted(str(one.get("cell")))],
            "unknown": [cell for cell in row.get("unknown", []) if wanted(cell)],
        }
        for row in report.get("rows", [])
    ]
    return _report(report, rows)


def united(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Both reports as one. Where they disagree about a row, the order of the bytes decides: nothing else is the same on
    every machine."""
    if one is None or other is None:
        found = one if other is None else other
        return None if found is None else dict(found)
    rows: dict[str, dict[str, Any]] = {}
    for row in (*one["rows"], *other["rows"]):
        rows[row["row"]] = _row(rows[row["row"]], row) if row["row"] in rows else row
    first = max(one, other, key=lambda report: line({**report, "rows": [], "conclusion": ""}))
    return _report(first, rows.values())


def _row(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    rest = max(one, other, key=lambda row: line({name: v for name, v in row.items() if name not in _OF_CELLS}))
    verdicts: dict[str, Any] = {}
    for verdict in (*one["verdicts"], *other["verdicts"]):
        known = verdicts.get(verdict["cell"], verdict)
        verdicts[verdict["cell"]] = max(known, verdict, key=line)
    return {**rest, "verdicts": list(verdicts.values()), "unknown": [*{*one["unknown"], *other["unknown"]}]}


def _report(head: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    ordered = []
    for row in sorted(rows, key=lambda row: str(row["row"])):
        # What one of two shards could not measure the other may have.
        unknown = {*row["unknown"]} - {verdict["cell"] for verdict in row["verdicts"]}
        ordered.append({**row, "verdicts": sorted(row["verdicts"], key=line), "unknown": sorted(unknown)})
    return {**head, "rows": ordered, "conclusion": _conclusion(ordered)}


def _conclusion(rows: list[dict[str, Any]]) -> str:
    verdicts = [verdict for row in rows for verdict in row["verdicts"]]
    return sentence(
        Totals(
            rows=len(rows),
            locks=sum(bool(row.get("outcome") or any(row.get("packages", {}).values())) for row in rows),
            first=sum(bool(row.get("first")) for row in rows),
            verdicts=len(verdicts),
            broken=sum(bool(verdict.get("broken")) for verdict in verdicts),
            mended=sum(bool(verdict.get("mended")) for verdict in verdicts),
            unknown=sum(len(row["unknown"]) for row in rows),
            incidents=sum(bool(item.get("new")) for row in rows for item in row.get("incidents", [])),
        )
    )
