"""The drift report as text and JSON: what changed in each lock, what the index did, which verdicts changed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from matrix.answers.blame.types import Changed
from matrix.answers.drift.incidents import Incident
from matrix.answers.drift.report import RowDrift, VerdictChange
from matrix.judging.finding import Finding

SCHEMA = 1

# How many of one group the text names; the document names all.
_NAMED = 8
_GIST = 300

_NO_BLAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Totals:
    """How many locks of how many rows changed or were resolved for the first time, and the changes of cells."""

    rows: int
    locks: int
    first: int
    verdicts: int
    broken: int
    mended: int
    unknown: int
    incidents: int


def sentence(totals: Totals) -> str:
    """Format totals as one sentence."""
    parts = [f"{totals.locks} of {_count(totals.rows, 'lock')} changed"]
    if totals.first:
        parts.append(f"{totals.first} resolved for the first time")
    named = totals.broken or totals.mended
    detail = f" ({totals.broken} broken, {totals.mended} mended)" if named else ""
    parts.append(f"{_count(totals.verdicts, 'cell')} changed{detail}")
    if totals.unknown:
        parts.append(f"{totals.unknown} could not be measured")
    return "drift: " + ", ".join([*parts, _count(totals.incidents, "new incident")])


def text(drifts: Sequence[RowDrift], blames: Mapping[str, str] = _NO_BLAMES) -> str:
    """Return the report for a terminal: the totals, then every row with changes. `blames` are answers by cell."""
    lines = [conclusion(drifts)]
    for drift in drifts:
        if drift:
            lines += ["", _heading(drift), *(f"  {line}" for line in _row(drift, blames))]
    if lasting := sum(len(drift.lasting) for drift in drifts):
        stand = "applies" if lasting == 1 else "apply"
        lines += ["", f"{_count(lasting, 'incident')} reported before still {stand} (--format json has all)"]
    quiet = sum(not drift for drift in drifts)
    if 0 < quiet < len(drifts):
        lines += ["", f"{_count(quiet, 'other row')} without changes"]
    return "\n".join(lines)


def conclusion(drifts: Sequence[RowDrift]) -> str:
    """Return the totals in one sentence."""
    changes = [change for drift in drifts for change in drift.verdicts]
    return sentence(
        Totals(
            rows=len(drifts),
            locks=sum(bool(drift.changes) for drift in drifts),
            first=sum(drift.changes.first for drift in drifts),
            verdicts=len(changes),
            broken=sum(change.broken for change in changes),
            mended=sum(change.mended for change in changes),
            unknown=sum(len(drift.unknown) for drift in drifts),
            incidents=sum(len(drift.incidents) for drift in drifts),
        )
    )


def document(drifts: Sequence[RowDrift], blames: Mapping[str, str] = _NO_BLAMES) -> dict[str, Any]:
    """Return the report as JSON-ready data, rows without changes included. Keys may be added, never renamed."""
    return {
        "schema": SCHEMA,
        "conclusion": conclusion(drifts),
        "rows": [
            {
                "row": drift.name,
                "as_of": {"before": drift.before.isoformat() if drift.before else None, "after": str(drift.after)},
                "first": drift.changes.first,
                "outcome": (
                    dict(zip(("before", "after"), drift.changes.outcome, strict=True))
                    if drift.changes.outcome
                    else None
                ),
                "explanation": drift.explanation,
                "packages": {
                    group: [{"package": c.package, "before": c.before, "after": c.after} for c in changes]
                    for group, changes in _groups(drift)
                },
                "incidents": [
                    *(_incident(incident, True) for incident in drift.incidents),
                    *(_incident(incident, False) for incident in drift.lasting),
                ],
                "verdicts": [
                    {
                        "cell": change.cell,
                        "before": _concluded(change.before),
                        "after": _concluded(change.after),
                        "broken": change.broken,
                        "mended": change.mended,
                        "blame": blames.get(change.cell),
                    }
                    for change in drift.verdicts
                ],
                "unknown": list(drift.unknown),
            }
            for drift in drifts
        ],
    }


def _heading(drift: RowDrift) -> str:
    if drift.before in (None, drift.after):
        return f"{drift.name} as of {drift.after}"
    return f"{drift.name} as of {drift.after}, before as of {drift.before}"


def _row(drift: RowDrift, blames: Mapping[str, str]) -> Iterator[str]:
    if drift.changes.outcome == ("resolved", "unsatisfiable"):
        yield f"no longer has a solution: {_gist(drift.explanation)}"
    elif drift.changes.outcome:
        yield "now has a solution"
    for group, changes in _groups(drift):
        if changes:
            yield f"{group}: {_some([_change(change) for change in changes])}"
    yield from _incidents(drift.incidents)
    for said, cells in _by_change(drift.verdicts).items():
        yield f"{said}{'' if drift.changes else ', with the lock of the last report'}:"
        # Cells that were blamed come first, with the answer.
        shown = [*filter(blames.__contains__, cells), *(cell for cell in cells if cell not in blames)]
        for place, cell in enumerate(shown):
            if place >= _NAMED and cell not in blames:
                yield f"  … and {len(shown) - place} more"
                break
            yield f"  {cell}"
            if cell in blames:
                yield from textwrap.indent(blames[cell], "    ").splitlines()
    if drift.unknown:
        yield f"could not be measured: {_some(list(drift.unknown))}"


def _incidents(incidents: Sequence[Incident]) -> Iterator[str]:
    """Yield one line for each incident, or for several that can be reported together."""
    alike: dict[tuple[str, str], list[str]] = {}
    for incident in incidents:
        if incident.together:
            names = alike.setdefault((incident.kind, incident.together), [])
            names.append(f"{incident.package} {incident.version}")
        else:
            yield f"{incident.kind}: {incident.text}{f' (since {incident.since})' if incident.since else ''}"
    for (kind, together), names in alike.items():
        yield f"{kind}: {_some(names)}: {together}"


def _groups(drift: RowDrift) -> tuple[tuple[str, tuple[Changed, ...]], ...]:
    changes = drift.changes
    return (
        ("raised", changes.raised),
        ("lowered", changes.lowered),
        ("added", changes.added),
        ("removed", changes.removed),
        ("other files", changes.refiled),
    )


def _by_change(verdicts: Sequence[VerdictChange]) -> dict[str, list[str]]:
    """Group cells by their change, broken ones first."""
    found: dict[str, list[str]] = {}
    for change in sorted(verdicts, key=lambda change: (not change.broken, not change.mended)):
        title = f" ({change.after.title})" if change.after.title else ""
        found.setdefault(f"{_said(change.before)} → {_said(change.after)}{title}", []).append(change.cell)
    return found


def _said(concluded: Finding) -> str:
    return "match" if concluded.good else " ".join(filter(None, (concluded.verdict, concluded.where, concluded.reason)))


def _change(change: Changed) -> str:
    if change.before in (None, change.after):
        return f"{change.package} {change.after}"
    if change.after is None:
        return f"{change.package} {change.before}"
    return f"{change.package} {change.before} → {change.after}"


def _some(items: list[str]) -> str:
    rest = len(items) - _NAMED
    return ", ".join(items[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _gist(explanation: str) -> str:
    return textwrap.shorten(explanation, _GIST, placeholder=" …") or "the resolver gives no reason"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _concluded(concluded: Finding) -> dict[str, str | None]:
    return {
        "verdict": concluded.verdict,
        "role": concluded.role,
        "stage": concluded.stage,
        "reason": concluded.reason,
        "title": concluded.title,
    }


def _incident(incident: Incident, new: bool) -> dict[str, str | bool | None]:
    return {
        "new": new,
        "kind": incident.kind,
        "package": incident.package,
        "version": incident.version,
        "text": incident.text,
        "since": incident.since.isoformat() if incident.since else None,
    }
