"""The distinct environments of a time, found by asking the resolver for few of its days."""

from __future__ import annotations

import datetime as dt

from matrix.answers.blame.asked import Ledger, Steps
from matrix.answers.blame.questions import Ranges, Recipe, Resolved


def timeline(ledger: Ledger, first: dt.date, last: dt.date, ranges: Ranges = ()) -> Steps[tuple[Resolved, ...]]:
    """The environments from `first` to `last` under `ranges`, oldest first: neighbours differ, and each is resolved as
    of the first day of its stretch. Those without a solution are members too, one stretch whatever the resolver says.

    An interval whose ends are equal is taken as constant. Releases only ever come: what could be chosen on a day
    between includes the environment of the first end, and is included in what could be chosen at the last end, where
    that same environment was the best of all; so it is the best there as well. Only a release that left the index, or
    one whose metadata cannot be had, could make this wrong, and then an episode is missed, never invented.

    The resolver is asked at most once for each distinct environment and level of the division, that is
    n * ceil(log2(days)) times, a level in one go."""
    ends = yield from ledger.resolve((Recipe(first, ranges), Recipe(last, ranges)))
    found = dict(zip((first, last), ends, strict=True))
    open_ = [(first, last)]
    while open_ := [(low, high) for low, high in open_ if (high - low).days > 1 and not same(found[low], found[high])]:
        middles = [low + (high - low) // 2 for low, high in open_]
        answers = yield from ledger.resolve([Recipe(day, ranges) for day in middles])
        found.update(zip(middles, answers, strict=True))
        open_ = [part for (low, high), day in zip(open_, middles, strict=True) for part in ((low, day), (day, high))]
    members: list[Resolved] = []
    for _, environment in sorted(found.items(), key=lambda item: item[0]):
        if not members or not same(members[-1], environment):
            members.append(environment)
    return tuple(members)


def same(one: Resolved, other: Resolved) -> bool:
    """Whether two resolutions are the same environment, or both none."""
    return one.digest == other.digest if one.solved and other.solved else one.solved == other.solved
