"""The Atom feed (RFC 4287): cells that broke or were mended, run by run. Unmeasured cells are not reported."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matrix.history import CellChange, History, Regression
from matrix.outputs.dashboard.changes import Changes, ended, first_blame, started, title
from matrix.outputs.dashboard.runs import uid
from matrix.outputs.wording.words import counted
from matrix.store import RunRecord
from matrix.table.ids import CellId

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:torch-tf-matrix")
_NEWEST = 50
_CELLS = 20


@dataclass(frozen=True)
class FeedEntry:
    """`id` stays the same in every build of the site."""

    id: str
    title: str
    updated: dt.datetime
    text: str
    link: str


def entries(history: History, changes: Changes) -> list[FeedEntry]:
    """Return the newest broken and mended cells, newest run first."""
    broke: list[FeedEntry] = []
    mended: list[FeedEntry] = []
    for run in reversed(range(len(history.runs))):
        found = history.changes(run)
        if len(broke) < _NEWEST:
            broke += [
                _broken(item, history, changes) for item in history.grouped([c for c in found if c.kind == "broke"])
            ]
        if len(mended) < _NEWEST:
            mended += _mended(run, [c for c in found if c.kind == "mended"], history, changes)
    return sorted([*broke[:_NEWEST], *mended[:_NEWEST]], key=lambda entry: entry.updated, reverse=True)


def context(
    name: str, base: str, generated: dt.datetime, found: list[FeedEntry], clean: Callable[[str], str]
) -> dict[str, Any]:
    """Return the context of the template. `base` is the site's address with a slash at its end, '' if unknown; it may
    contain what `clean` takes out of texts."""
    return {
        "title": clean(name),
        "id": f"urn:uuid:{uuid.uuid5(_NAMESPACE, base or name)}",
        "updated": _time(max((entry.updated for entry in found), default=generated)),
        "base": base,
        "entries": [
            {
                **vars(entry),
                "title": clean(entry.title),
                "text": clean(entry.text),
                "updated": _time(entry.updated),
            }
            for entry in found
        ],
    }


def _broken(item: Regression, history: History, changes: Changes) -> FeedEntry:
    run, before = history.runs[item.run], history.runs[item.before_run]
    lines = [
        f"{counted(len(item.cells), 'cell')} matched in run {before.id} but not in run {run.id}.",
        f"{item.role or 'comparison'}/{item.stage or '-'}: {item.title or item.reason or ''}",
        changes.why(item.changes[0]).sentence,
        first_blame(item, changes) or "",
        *_named(item.cells),
    ]
    return _entry("broke", item.key, run, f"broke: {title(item)} ({counted(len(item.cells), 'cell')})", lines)


def _mended(run: int, found: list[CellChange], history: History, changes: Changes) -> list[FeedEntry]:
    """Group the cells that had failed in the same way."""
    together: dict[tuple[str, str], list[CellChange]] = {}
    for change in found:
        before = history.conclusions[change.before or 0]
        key = (
            CellId.parse(change.cell).environment_of(before.finding.role),
            before.finding.reason or before.finding.verdict,
        )
        together.setdefault(key, []).append(change)
    made = []
    for (environment, reason), items in sorted(together.items()):
        record = history.runs[run]
        lines = [
            f"{counted(len(items), 'cell')} matched in run {record.id} again, or for the first time.",
            changes.why(items[0]).sentence,
            *_named([change.cell for change in items]),
        ]
        named = f"mended: {environment}: {reason} ({counted(len(items), 'cell')})"
        made.append(_entry("mended", f"{environment}\n{reason}", record, named, lines))
    return made


def _entry(kind: str, key: str, run: RunRecord, named: str, lines: list[str]) -> FeedEntry:
    # Run numbers belong to one database and change when histories are merged.
    identity = f"{kind}\n{key}\n{uid(run)}"
    return FeedEntry(
        f"urn:uuid:{uuid.uuid5(_NAMESPACE, identity)}",
        named,
        ended(run) or started(run),
        "\n".join(line for line in lines if line),
        f"changes.html#b={run.id}",
    )


def _named(cells: tuple[str, ...] | list[str]) -> list[str]:
    more = len(cells) - _CELLS
    return [*cells[:_CELLS], *([f"and {more} more"] if more > 0 else [])]


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
