"""Two versions of the same fact united: a run, a cell, a comparison, a drift report. Whatever the order, the result is
the same. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from matrix.answers.drift.document import Totals, sentence
from matrix.judging.comparisons import is_of_today
from matrix.outputs.interchange.forms import line

_OF_CELLS = ("verdicts", "unknown")


def run(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Unite two forms of a run.json. Of a part that was continued, the later version counts."""
    parts: dict[str, Mapping[str, Any]] = {}
    for part in (*one["parts"], *other["parts"]):
        known = parts.get(part["uid"], part)
        parts[part["uid"]] = max(known, part, key=lambda item: (item["ended"] or item["started"], line(item)))
    head = max(one, other, key=lambda item: line([item["resolution"], item["as_of"]]))
    return {
        "uid": one["uid"],
        "resolution": head["resolution"],
        "as_of": head["as_of"],
        "drift": drift(one["drift"], other["drift"]),
        "parts": [parts[uid] for uid in sorted(parts)],
    }


def observations_of(cell: Mapping[str, Any]) -> set[str]:
    """Return the hashes of all observations that a line of cells.jsonl names."""
    records = [*cell["searched"], *([cell["decided"]] if cell["decided"] else [])]
    named = {record.get(name) for record in records for name in ("export", "reference", "convert", "forward")}
    named |= {name for record in cell["searched"] for name in (*record["alter"], record["expose"], record["trace"])}
    return named - {None}


def cell(one: Mapping[str, Any], other: Mapping[str, Any], created: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the later of two decisions on a cell of a run, with the searches made for it then. `created` has the time
    of an observation by its hash."""
    if one == other:
        return one
    return max(one, other, key=lambda item: (max(created[name] for name in observations_of(item)), line(item)))


def comparison(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the comparison of the same arrays that was made by today's method: an older one may have been wrong."""
    return max(one, other, key=lambda value: (is_of_today(value), line(value)))


def drift(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Unite two drift reports of a run. If they disagree about a row, the order of the bytes decides: nothing else is
    the same on every machine."""
    if one is None or other is None:
        found = one if other is None else other
        return None if found is None else dict(found)
    rows: dict[str, dict[str, Any]] = {}
    for row in (*one["rows"], *other["rows"]):
        rows[row["row"]] = _row(rows[row["row"]], row) if row["row"] in rows else row
    first = max(one, other, key=lambda report: line({**report, "rows": [], "conclusion": ""}))
    return _report(first, rows.values())


def drift_of_cells(report: Mapping[str, Any], wanted: Callable[[str], bool]) -> dict[str, Any]:
    """Return a drift report in the order of names, without the cells that are not `wanted`."""
    rows = [
        {
            **row,
            "verdicts": [one for one in row.get("verdicts", []) if wanted(str(one.get("cell")))],
            "unknown": [cell for cell in row.get("unknown", []) if wanted(cell)],
        }
        for row in report.get("rows", [])
    ]
    return _report(report, rows)


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
        # One of two shards may have measured what the other could not.
        unknown = {*row["unknown"]} - {verdict["cell"] for verdict in row["verdicts"]}
        ordered.append({**row, "verdicts": sorted(row["verdicts"], key=line), "unknown": sorted(unknown)})
    verdicts = [verdict for row in ordered for verdict in row["verdicts"]]
    totals = Totals(
        rows=len(ordered),
        locks=sum(bool(row.get("outcome") or any(row.get("packages", {}).values())) for row in ordered),
        first=sum(bool(row.get("first")) for row in ordered),
        verdicts=len(verdicts),
        broken=sum(bool(verdict.get("broken")) for verdict in verdicts),
        mended=sum(bool(verdict.get("mended")) for verdict in verdicts),
        unknown=sum(len(row["unknown"]) for row in ordered),
        incidents=sum(bool(item.get("new")) for row in ordered for item in row.get("incidents", [])),
    )
    return {**head, "rows": ordered, "conclusion": sentence(totals)}
