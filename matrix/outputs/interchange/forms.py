"""Facts of a store in the form in which they are written, on the way out and for comparison on the way in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from matrix.outputs.interchange.canonical import moment
from matrix.outputs.interchange.privacy import Cleaner
from matrix.store.records import CellRecord, RunPart
from matrix.store.runs import part_to_json, parts_of
from matrix.store.schema import RunRow

Name = Callable[[int | None], str | None]


def run_form(row: RunRow, command: Callable[[str], str], drift: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "uid": row.uid,
        "resolution": row.resolution,
        "as_of": row.as_of.isoformat() if row.as_of else None,
        "drift": drift,
        "parts": sorted((part_form(part, command) for part in parts_of(row)), key=lambda part: str(part["uid"])),
    }


def part_form(part: RunPart, command: Callable[[str], str]) -> dict[str, Any]:
    host = {name: value for name, value in part.host.items() if name != "state"}
    # On another machine nobody would ever close it.
    status = "killed" if part.status == "running" else part.status
    return {**part_to_json(part), "host": host, "command": command(part.command), "status": status}


def is_ours(row: RunRow) -> bool:
    """Whether a driver that writes to this store made it, so that its words may name folders of this machine."""
    return any("state" in part.host for part in parts_of(row))


def observation_form(columns: Mapping[str, Any], clean: Cleaner) -> dict[str, Any]:
    return {
        **columns,
        "created": moment(columns["created"]),
        "payload": clean.value(columns["payload"]),
    }


def units(records: Iterable[CellRecord]) -> dict[str, list[CellRecord]]:
    """By cell its own record with those of what was done for it, in order: they stay together."""
    found: dict[str, list[CellRecord]] = {}
    for record in records:
        found.setdefault(record.base or record.cell, []).append(record)
    return found


def cell_form(cell: str, records: Iterable[CellRecord], name: Name) -> dict[str, Any]:
    """`name` gives the hash of an observation for its number."""
    decided, searched = None, []
    for record in records:
        common = {
            "model": record.model,
            "exporter": record.exporter,
            "torch": record.torch,
            "opset": record.opset,
            "converter": record.converter,
            "export": name(record.export),
            "reference": name(record.reference),
            "convert": name(record.convert),
        }
        if record.base is None:
            decided = common
        else:
            searched.append(
                {
                    **common,
                    "cell": record.cell,
                    "changes": [list(change) for change in record.changes],
                    "alter": [name(number) for number in record.alter],
                    "expose": name(record.expose),
                    "trace": name(record.trace),
                }
            )
    return {"cell": cell, "decided": decided, "searched": searched}


def cell_records(form: Mapping[str, Any], number: Callable[[str], int]) -> Iterator[CellRecord]:
    """The records of a line, with `number` for the hash of an observation."""

    def maybe(name: str | None) -> int | None:
        return None if name is None else number(name)

    def common(item: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **{key: item[key] for key in ("model", "exporter", "torch", "opset", "converter")},
            "export": number(item["export"]),
            "reference": maybe(item["reference"]),
            "convert": maybe(item["convert"]),
        }

    if form["decided"] is not None:
        yield CellRecord(cell=form["cell"], **common(form["decided"]))
    for item in form["searched"]:
        yield CellRecord(
            cell=item["cell"],
            base=form["cell"],
            changes=tuple((kind, words) for kind, words in item["changes"]),
            alter=tuple(number(name) for name in item["alter"]),
            expose=maybe(item["expose"]),
            trace=maybe(item["trace"]),
            **common(item),
        )


def resolution_form(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {**columns, "as_of": columns["as_of"].isoformat()}


def blame_form(columns: Mapping[str, Any], clean: Cleaner) -> dict[str, Any]:
    """The number of the run is this database's own."""
    story = {name: value for name, value in columns["story"].items() if name != "run"}
    return {
        "cell": columns["cell"],
        "created": moment(columns["created"]),
        "story": clean.value(story),
        "picture": clean.text(columns["picture"]),
    }
