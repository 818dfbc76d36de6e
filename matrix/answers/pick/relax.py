"""The smallest part of the constraints to give up, where nothing satisfies all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, zip_longest

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from matrix.answers.pick.constraints import Constraint
from matrix.answers.pick.ranking import Ranked

# What is recommended in a constraint's place is proven first; what will not work is not worth a conversion.
_HOPEFUL = 3


def relaxations(
    constraints: Sequence[Constraint], ranked: Callable[[Sequence[Constraint]], Sequence[Ranked]]
) -> list[tuple[tuple[Constraint, ...], list[Ranked]]]:
    """Constraints to give up, as few as possible, each with toolchains that fulfil the others: the likeliest first,
    and of those what is closest to what was asked. `ranked` gives candidates for constraints. Of the smallest number
    all ways are given, the most hopeful first."""
    for number in range(1, len(constraints) + 1):
        found = []
        for given_up in combinations(constraints, number):
            kept = [constraint for constraint in constraints if constraint not in given_up]
            hopeful = [item for item in ranked(kept) if item.likelihood <= _HOPEFUL]
            if hopeful:
                found.append((given_up, sorted(hopeful, key=_nearest(given_up))))
        if found:
            return sorted(found, key=lambda item: item[1][0].likelihood)
    return []


def _nearest(given_up: Sequence[Constraint]) -> Callable[[Ranked], tuple[object, ...]]:
    return lambda item: (item.likelihood, distance(item, given_up))


def distance(item: Ranked, given_up: Sequence[Constraint]) -> tuple[tuple[int, ...], ...]:
    """How far a candidate's versions are from those that the constraints name."""
    cell = item.cell
    versions = {**cell.converter.pins, "torch": cell.exporter.torch, "python": cell.python}
    return tuple(_apart(versions.get(constraint.name, ""), constraint.versions) for constraint in given_up)


def _apart(version: str, wanted: SpecifierSet) -> tuple[int, ...]:
    named = [spec.version.removesuffix(".*") for spec in wanted]
    try:
        ours = Version(version).release
        theirs = [Version(text).release for text in named]
    except InvalidVersion:
        return ()
    pairs = [tuple(abs(a - b) for a, b in zip_longest(ours, other, fillvalue=0)) for other in theirs]
    return min(pairs, default=())
