"""The drift of a row between two runs: what changed in its lock, and which verdicts changed with it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from matrix.answers.drift.changes import LockChanges, lock_changes
from matrix.answers.drift.incidents import Incident
from matrix.judging.finding import Finding
from matrix.packages.lock import Lock


@dataclass(frozen=True)
class VerdictChange:
    """A cell whose verdict, or the reason for it, changed."""

    cell: str
    before: Finding
    after: Finding

    @property
    def broken(self) -> bool:
        return self.before.verdict == "match" != self.after.verdict

    @property
    def mended(self) -> bool:
        return self.before.verdict != "match" == self.after.verdict


@dataclass(frozen=True)
class RowDrift:
    """`before` and `after` are the dates of the two locks. `unknown` are cells that were known before and could not be
    measured now. `lasting` are incidents that the last report already contains.
    """

    name: str
    before: dt.date | None
    after: dt.date
    changes: LockChanges
    explanation: str = ""
    verdicts: tuple[VerdictChange, ...] = ()
    unknown: tuple[str, ...] = ()
    incidents: tuple[Incident, ...] = ()
    lasting: tuple[Incident, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes or self.verdicts or self.unknown or self.incidents)


def row_drift(
    name: str,
    before_lock: Lock | None,
    after_lock: Lock,
    before: Mapping[str, Finding],
    after: Mapping[str, Finding],
    incidents: tuple[Incident, ...] = (),
    lasting: tuple[Incident, ...] = (),
) -> RowDrift:
    """Return the drift of row `name`; `before` and `after` are findings by cell id. A cell that was absent or
    indeterminate before is not compared.
    """
    changed, unknown = [], []
    for cell, was in before.items():
        now = after.get(cell)
        if was.indeterminate:
            continue
        if now is None or now.indeterminate:
            unknown.append(cell)
        elif not (was.good and now.good) and was.kind != now.kind:
            changed.append(VerdictChange(cell, was, now))
    return RowDrift(
        name=name,
        before=before_lock.as_of if before_lock else None,
        after=after_lock.as_of,
        changes=lock_changes(before_lock, after_lock),
        explanation=after_lock.explanation,
        verdicts=tuple(changed),
        unknown=tuple(unknown),
        incidents=incidents,
        lasting=lasting,
    )
