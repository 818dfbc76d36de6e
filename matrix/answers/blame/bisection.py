"""Divide the time between a good and a bad end until a good and a bad environment are neighbours."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matrix.answers.blame.probes import LimitReached, ProbeLog, Steps
from matrix.answers.blame.ranges import fulfilled
from matrix.answers.blame.types import Ranges, Recipe, Resolved

HINTED = 2
"""Tests that following the hints of one failure may cost beyond plain bisection."""


def timeline(log: ProbeLog, first: dt.date, last: dt.date, ranges: Ranges = ()) -> Steps[tuple[Resolved, ...]]:
    """Find the distinct environments from `first` to `last` under `ranges`, oldest first, each resolved as of the first
    day on which it is chosen. Consecutive ones without a solution count as one.

    An interval whose ends are equal is taken as constant. As long as releases are only added, this is exact: what could
    be chosen in between includes the environment of the first end and is included in the choice at the last end, where
    that same environment was the best. If a release was withdrawn, or its metadata is unavailable, an episode may be
    missed but never invented.

    At most n * ceil(log2(days)) resolutions for n distinct environments, one probe for each level of the division.
    """
    ends = yield from log.resolve((Recipe(first, ranges), Recipe(last, ranges)))
    found = dict(zip((first, last), ends, strict=True))
    open_ = [(first, last)]
    while open_ := [(low, high) for low, high in open_ if (high - low).days > 1 and not same(found[low], found[high])]:
        middles = [low + (high - low) // 2 for low, high in open_]
        answers = yield from log.resolve([Recipe(day, ranges) for day in middles])
        found.update(zip(middles, answers, strict=True))
        open_ = [part for (low, high), day in zip(open_, middles, strict=True) for part in ((low, day), (day, high))]
    members: list[Resolved] = []
    for _, environment in sorted(found.items(), key=lambda item: item[0]):
        if not members or not same(members[-1], environment):
            members.append(environment)
    return tuple(members)


def same(one: Resolved, other: Resolved) -> bool:
    """Return whether two resolutions are the same environment, or both have no solution."""
    return one.digest == other.digest if one.solved and other.solved else one.solved == other.solved


@dataclass(frozen=True)
class Bracket:
    """A good index and a bad one after it; everything in between could not be tested."""

    good: int
    bad: int

    @property
    def skipped(self) -> int:
        return self.bad - self.good - 1


def bracket(known: Mapping[int, bool | None]) -> Bracket:
    """Return the bad index nearest to the good end, with the last good one before it."""
    bad = min(index for index, good in known.items() if good is False)
    return Bracket(max(index for index, good in known.items() if good and index < bad), bad)


def next_probe(known: Mapping[int, bool | None], hints: Sequence[int] = (), granted: int = 0) -> int | Bracket:
    """Return the index to test next, or the transition if nothing is left to test.

    `known` maps indices to whether they are good, None if that could not be determined; 0, the good end, is good and
    the last one bad. The untried index nearest to the middle is chosen, which makes ceil(log2(n - 1)) tests for n
    environments if each can be tested. `hints` are indices at which a break is suspected. A hint is tried first, and if
    bad the index before it, so that a right one costs two tests; but only while a wrong one still leaves the search
    within `granted` tests.
    """
    found = bracket(known)
    untried = [index for index in range(found.good + 1, found.bad) if index not in known]
    if not untried:
        return found
    for hint in hints:
        probe = hint - 1 if hint == found.bad else hint
        if probe in untried and 1 + depth(max(probe - found.good, found.bad - probe)) <= granted:
            return probe
    middle = (found.good + found.bad) // 2
    return min(untried, key=lambda index: (abs(index - middle), index))


def outcomes(log: ProbeLog, line: Sequence[Resolved]) -> dict[int, bool | None]:
    """Return whether members of a line are good, by index, as far as known."""
    return {index: seen.good for index, item in enumerate(line) if (seen := log.known(item)) is not None}


def depth(width: int) -> int:
    """Return how many halvings reduce a width to 1: ceil(log2(width))."""
    return (width - 1).bit_length()


def narrow(log: ProbeLog, line: Sequence[Resolved], hints: Sequence[Ranges] = ()) -> Steps[Bracket]:
    """Find the transition nearest to `line[0]`, which is known to be good, as `line[-1]` is known to be bad. Known
    outcomes cost nothing. `hints`, and ranges named by the remedies of a failure, say where to look first.

    At most ceil(log2(w)) + 2 * f tests if each environment can be tested: w, at most n - 1, is the distance between the
    nearest known good and bad ones at the start, f the number of different failures with hints, plus one for `hints`.
    At the limit, whatever lies between is reported as skipped.
    """
    granted = None
    hinting: set[object] = set()
    while True:
        known = outcomes(log, line)
        found = bracket(known)
        if granted is None:
            granted = depth(found.bad - found.good) + (HINTED if hints else 0)
        failed = log.known(line[found.bad])
        wanted = [*hints, *(failed.hints if failed is not None else ())]
        if failed is not None and failed.hints and failed.failure not in hinting:
            hinting.add(failed.failure)
            granted += HINTED
        suspects = [index for ranges in wanted if (index := _first(line, found, ranges)) is not None]
        probe = next_probe(known, suspects, granted)
        if isinstance(probe, Bracket):
            return probe
        try:
            yield from log.outcome(line[probe])
        except LimitReached:
            return found
        granted -= 1


def _first(line: Sequence[Resolved], pair: Bracket, ranges: Ranges) -> int | None:
    """Return the first index that violates the ranges; None if the good one violates them too."""
    if not fulfilled(line[pair.good].packages, ranges):
        return None
    return next((i for i in range(pair.good + 1, pair.bad + 1) if not fulfilled(line[i].packages, ranges)), None)
