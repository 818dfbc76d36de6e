"""Facts of a store in the form of the files: for writing them, and for comparing them with files that are read."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from matrix.outputs.privacy import AsItIs, Cleaner
from matrix.store.records import CellRecord, RunPart
from matrix.store.runs import part_to_json, parts_of, utc
from matrix.store.schema import RunRow

_COPIED = ("model", "exporter", "torch", "opset", "converter")
_OBSERVED = ("export", "reference", "convert", "forward")


def line(value: Any) -> bytes:
    """Return JSON in one line, without its end: the one way in which a fact is written."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def page(value: Any) -> bytes:
    """Return the JSON of a file of one value, in lines that can be compared."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"


def content(data: bytes) -> str:
    """Return the name of an observation on every machine: the hash of its line."""
    return hashlib.sha256(data).hexdigest()


def _moment(when: dt.datetime) -> str:
    """Return a time as text of constant length, so that texts sort as times do."""
    return utc(when).isoformat(timespec="microseconds")


def run_form(row: RunRow, command: Callable[[str], str], drift: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return run.json; `command` cleans a command line."""
    return {
        "uid": row.uid,
        "resolution": row.resolution,
        "as_of": row.as_of.isoformat() if row.as_of else None,
        "drift": drift,
        "parts": sorted((_part_form(part, command) for part in parts_of(row)), key=lambda part: str(part["uid"])),
    }


def _part_form(part: RunPart, command: Callable[[str], str]) -> dict[str, Any]:
    host = {name: value for name, value in part.host.items() if name != "state"}
    # No driver of another machine would ever close it.
    status = "killed" if part.status == "running" else part.status
    return {**part_to_json(part), "host": host, "command": command(part.command), "status": status}


def cleaner_for(row: RunRow, cleaner: Cleaner) -> Cleaner:
    """Return `cleaner` for a run that a driver of this store made, since its texts may name folders of this machine."""
    return cleaner if any("state" in part.host for part in parts_of(row)) else AsItIs()


def observation_form(columns: Mapping[str, Any], clean: Cleaner) -> dict[str, Any]:
    return {**columns, "created": _moment(columns["created"]), "payload": clean.data(columns["payload"])}


def units(records: Iterable[CellRecord]) -> dict[str, list[CellRecord]]:
    """Return, by cell and in order, its own record with those of the searches for it: they stay together."""
    found: dict[str, list[CellRecord]] = {}
    for record in records:
        found.setdefault(record.base or record.cell, []).append(record)
    return found


def cell_form(cell: str, records: Iterable[CellRecord], names: Callable[[int], str]) -> dict[str, Any]:
    """Return the line of a cell; `names` gives the hash of an observation for its number."""
    decided, searched = None, []

    def name(number: int | None) -> str | None:
        return None if number is None else names(number)

    for record in records:
        common = {key: getattr(record, key) for key in _COPIED}
        common |= {key: name(getattr(record, key)) for key in _OBSERVED}
        if record.base is None:
            decided = common
            continue
        common |= {
            "cell": record.cell,
            "changes": [list(change) for change in record.changes],
            "alter": [name(number) for number in record.alter],
            "expose": name(record.expose),
            "trace": name(record.trace),
        }
        searched.append(common)
    return {"cell": cell, "decided": decided, "searched": searched}


def cell_records(form: Mapping[str, Any], number: Mapping[str, int]) -> Iterator[CellRecord]:
    """Yield the records of a line; `number` has the number of an observation for its hash."""

    def common(item: Mapping[str, Any]) -> dict[str, Any]:
        return {key: item[key] for key in _COPIED} | {key: number.get(item.get(key, "")) for key in _OBSERVED}

    if form["decided"] is not None:
        yield CellRecord(cell=form["cell"], **common(form["decided"]))
    for item in form["searched"]:
        yield CellRecord(
            cell=item["cell"],
            base=form["cell"],
            changes=tuple((kind, words) for kind, words in item["changes"]),
            alter=tuple(number[name] for name in item["alter"]),
            expose=number.get(item["expose"]),
            trace=number.get(item["trace"]),
            **common(item),
        )


def resolution_form(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {**columns, "as_of": columns["as_of"].isoformat()}


def blame_form(columns: Mapping[str, Any], clean: Cleaner) -> dict[str, Any]:
    """Return the line of a blame, without the number of its run, which is this store's own."""
    story = {name: value for name, value in columns["story"].items() if name != "run"}
    return {
        "cell": columns["cell"],
        "created": _moment(columns["created"]),
        "story": clean.data(story),
        "picture": clean.text(columns["picture"]),
    }
