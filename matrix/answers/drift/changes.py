"""The differences between two locks of one row."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from packaging.version import Version

from matrix.answers.blame.types import Changed
from matrix.packages.lock import Lock

Outcome = Literal["resolved", "unsatisfiable"]

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class LockChanges:
    """Differing packages in groups, each sorted by name. `refiled` have the same version but other files to choose
    from, because the index got or lost some. `outcome` is (before, after) if it differs, and then the groups are empty;
    `first` means that there was no lock before.
    """

    added: tuple[Changed, ...] = ()
    removed: tuple[Changed, ...] = ()
    raised: tuple[Changed, ...] = ()
    lowered: tuple[Changed, ...] = ()
    refiled: tuple[Changed, ...] = ()
    outcome: tuple[Outcome, Outcome] | None = None
    first: bool = False

    @property
    def packages(self) -> int:
        """Return how many packages were added, removed or have another version."""
        return len(self.added) + len(self.removed) + len(self.raised) + len(self.lowered)

    def __bool__(self) -> bool:
        return bool(self.packages or self.refiled or self.outcome)


def lock_changes(before: Lock | None, after: Lock) -> LockChanges:
    """Compare a lock of a row with a later one; both are for the same Python."""
    if before is None:
        return LockChanges(first=True)
    if before.outcome != after.outcome:
        return LockChanges(outcome=(before.outcome, after.outcome))
    old, new = before.packages, after.packages
    common = [Changed(name, old[name], new[name]) for name in sorted(old.keys() & new.keys())]
    order = {change: _order(change) for change in common}
    return LockChanges(
        added=tuple(Changed(name, None, new[name]) for name in sorted(new.keys() - old.keys())),
        removed=tuple(Changed(name, old[name], None) for name in sorted(old.keys() - new.keys())),
        raised=tuple(change for change in common if order[change] > 0),
        lowered=tuple(change for change in common if order[change] < 0),
        refiled=tuple(
            change
            for change in common
            if order[change] == 0 and hashes(before, change.package) != hashes(after, change.package)
        ),
    )


def hashes(lock: Lock, package: str) -> frozenset[str]:
    """Return the sha256 of the files that the lock allows for a package, given its normalised name."""
    if package not in lock.packages:
        return frozenset()
    return frozenset(_HASH.findall(lock.requirements[package]))


def _order(change: Changed) -> int:
    before, after = Version(change.before or ""), Version(change.after or "")
    return (after > before) - (after < before)
