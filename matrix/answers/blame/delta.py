"""Isolate the packages that carry a fault among those that changed: delta debugging (Zeller, Hildebrandt 2002)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matrix.answers.blame.probes import LimitReached, ProbeLog, Steps
from matrix.answers.blame.ranges import distance, exactly
from matrix.answers.blame.types import Changed, Measured, Recipe, Resolved

_Part = tuple[Changed, ...]


def changes(before: Resolved, after: Resolved) -> tuple[Changed, ...]:
    """Return the packages whose versions differ, by name; empty if one of the environments has no solution."""
    if not before.solved or not after.solved:
        return ()
    one, other = before.packages, after.packages
    return tuple(
        Changed(package, one.get(package), other.get(package))
        for package in sorted(one.keys() | other.keys())
        if one.get(package) != other.get(package)
    )


def minimise(log: ProbeLog, before: Resolved, after: Resolved) -> Steps[tuple[Changed, ...] | None]:
    """Find a minimal set of the changes with which `before`, which is good, fails as `after` does: without any one of
    them it does not. A set without a solution, or with another failure, counts as one that does not fail.

    Packages that were added or removed follow from the versions of those that need them and are never in the set. At
    most k * k + 3 * k tests for k changes of version, and none for one. None if the set cannot be determined: an end
    has no solution, no version changed, a set cannot be tested, or the limit is reached.
    """
    minimiser = _Minimiser(log, before, after)
    try:
        return (yield from minimiser.minimise())
    except LimitReached:
        return None


class _Minimiser:
    def __init__(self, log: ProbeLog, before: Resolved, after: Resolved) -> None:
        self.log = log
        self.before, self.after = before, after
        self.as_of = max(before.recipe.as_of, after.recipe.as_of)
        known = log.known(after)
        if known is None:
            raise ValueError("the cell was not run in the environment whose failure is to be explained")
        self.failed = known

    def minimise(self) -> Steps[_Part | None]:
        parts = tuple(one for one in changes(self.before, self.after) if one.before and one.after)
        if not parts:
            return None
        # The first half is tried first, so the likelier changes go there.
        parts = tuple(sorted(parts, key=lambda one: (not self._named(one), distance(one), one.package)))
        named = tuple(one for one in parts if self._named(one))
        if 0 < len(named) < len(parts) and (yield from self._first_bad([named])) is not None:
            parts = named
        parts = yield from self._reduce(parts)
        for rest in _without_each(parts):
            outcome = yield from self._outcome(rest)
            if outcome is not None and outcome.good is None:
                return None
        return tuple(sorted(parts, key=lambda one: one.package))

    def _named(self, changed: Changed) -> bool:
        return any(changed.package == package for ranges in self.failed.hints for package, _ in ranges)

    def _reduce(self, parts: _Part) -> Steps[_Part]:
        pieces = 2
        while len(parts) > 1:
            chunks = _split(parts, pieces)
            smaller = yield from self._first_bad(chunks)
            if smaller is not None:
                parts, pieces = smaller, 2
                continue
            if pieces > 2:
                rests = [tuple(one for one in parts if one not in chunk) for chunk in chunks]
                smaller = yield from self._first_bad(rests)
                if smaller is not None:
                    parts, pieces = smaller, pieces - 1
                    continue
            if pieces == len(parts):
                break
            pieces = min(len(parts), 2 * pieces)
        return parts

    def _first_bad(self, sets: Sequence[_Part]) -> Steps[_Part | None]:
        yield from self.log.resolve([self._recipe(part) for part in sets])
        for part in sets:
            outcome = yield from self._outcome(part)
            if outcome is not None and outcome.good is False and outcome.failure == self.failed.failure:
                return part
        return None

    def _outcome(self, part: _Part) -> Steps[Measured | None]:
        """Return None if no environment differs from `before` in exactly these packages."""
        if not part:
            return self.log.known(self.before)
        (environment,) = yield from self.log.resolve((self._recipe(part),))
        wanted = self._versions(part)
        strange = any(wanted.get(package) != version for package, version in environment.packages.items())
        if not environment.solved or strange or any(one.package not in environment.packages for one in part):
            return None
        return (yield from self.log.outcome(environment))

    def _recipe(self, part: _Part) -> Recipe:
        return Recipe(self.as_of, exactly(self._versions(part)))

    def _versions(self, part: _Part) -> dict[str, str]:
        """Return one version for every package of either side."""
        return {
            **self.after.packages,
            **self.before.packages,
            **{one.package: one.after for one in part if one.after is not None},
        }


def _split(parts: _Part, pieces: int) -> list[_Part]:
    bounds = [len(parts) * piece // pieces for piece in range(pieces + 1)]
    return [parts[low:high] for low, high in pairwise(bounds)]


def _without_each(parts: _Part) -> list[_Part]:
    return [tuple(one for one in parts if one != left) for left in parts]
