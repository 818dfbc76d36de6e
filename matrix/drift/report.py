"""The drift of a row between two runs: what changed in its lock, and which verdicts changed with it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from matrix.config.model import Role, Verdict
from matrix.drift.changes import LockChanges, lock_changes
from matrix.drift.incidents import Incident
from matrix.locks.lockfile import Lock
from matrix.verdicts.outcome import INDETERMINATE


class Concluded(Protocol):
    """What of a Judgement is told."""

    @property
    def verdict(self) -> Verdict: ...
    @property
    def role(self) -> Role | None: ...
    @property
    def stage(self) -> str | None: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def title(self) -> str: ...


@dataclass(frozen=True)
class VerdictChange:
    """A cell that came out otherwise than before: another verdict, or another reason for the same."""

    cell: str
    before: Concluded
    after: Concluded

    @property
    def broken(self) -> bool:
        return self.before.verdict == "match" != self.after.verdict

    @property
    def mended(self) -> bool:
        return self.before.verdict != "match" == self.after.verdict


@dataclass(frozen=True)
class RowDrift:
    """`before` and `after` are the days that the two locks are as of. `unknown` are cells known before of which
    nothing can be said now. Incidents that the last report told already are `lasting`."""

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
    before: Mapping[str, Concluded],
    after: Mapping[str, Concluded],
    incidents: tuple[Incident, ...] = (),
    lasting: tuple[Incident, ...] = (),
) -> RowDrift:
    """The drift of row `name`; `before` and `after` are conclusions by the same cell ids. A cell that was not there
    or indeterminate before has nothing to change from."""
    changed, unknown = [], []
    for cell, was in before.items():
        now = after.get(cell)
        if was.verdict in INDETERMINATE:
            continue
        if now is None or now.verdict in INDETERMINATE:
            unknown.append(cell)
        elif _told(was) != _told(now):
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


def _told(concluded: Concluded) -> tuple[Verdict, str | None, str | None, str | None]:
    if concluded.verdict == "match":
        return "match", None, None, None
    return concluded.verdict, concluded.role, concluded.stage, concluded.reason
