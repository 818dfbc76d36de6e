"""The whole search: from two dates to the day, the packages and a cure. Yields probes, is sent their results."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from dataclasses import dataclass

from matrix.answers.blame.bisection import timeline
from matrix.answers.blame.cure import CureSearch
from matrix.answers.blame.probes import LimitReached, ProbeLog, Steps
from matrix.answers.blame.transitions import locate, turns
from matrix.answers.blame.types import Blame, Kind, Recipe, Resolved, Transition


def find_blame(then: dt.date, now: dt.date, limit: int) -> Steps[Blame]:
    """Find why the outcome of a cell as of `now` differs from that as of `then`. The search is deterministic for given
    probe results. Raises ValueError if `then` is after `now`.

    The cell is run in at most `limit` environments, those of the two dates included; if that is too few, the result is
    what was found by then and `stopped` is set. With n distinct environments between the dates, k versions that changed
    at the transition, f different failures with hints, and environments that can all be tested, the cost is: 2 tests
    for the ends, ceil(log2(n - 1)) + 2 * f for the transition, k * k + 3 * k for its culprits (none if k is 1).
    Checking for an earlier break of the same kind costs one test, and finding it as much again plus 2. Each further
    transition costs at most as much as the first; the rest of the search for a cure is bounded by `limit` only.
    """
    if then > now:
        raise ValueError(f"{then} is after {now}")
    inquiry = _Search(ProbeLog(limit), then, now)
    with suppress(LimitReached):
        yield from inquiry.run()
    return inquiry.blame()


@dataclass
class _Search:
    log: ProbeLog
    then: dt.date
    now: dt.date
    kind: Kind = "indeterminate"
    ends: tuple[Resolved, ...] = ()
    line: tuple[Resolved, ...] = ()
    transition: Transition | None = None
    cure_search: CureSearch | None = None

    def run(self) -> Steps[None]:
        self.ends = yield from self.log.resolve((Recipe(self.then), Recipe(self.now)))
        first, last = self.ends
        before = (yield from self.log.outcome(first)).good
        if before is None:
            return
        after = (yield from self.log.outcome(last)).good
        if after is None:
            return
        if before == after:
            self.kind = "works" if before else "never worked"
            return
        self.kind = "broken" if before else "mended"
        self.line = yield from timeline(self.log, self.then, self.now)
        away_from_good = self.line if before else self.line[::-1]
        self.transition = yield from locate(self.log, away_from_good, earlier=True)
        if self.kind == "broken" and not self.log.stopped:
            self.cure_search = CureSearch(self.log, self.then, last, [self.transition])
            yield from self.cure_search.search()

    def blame(self) -> Blame:
        first, last = self.ends
        found = () if self.transition is None else (self.transition,)
        return Blame(
            kind=self.kind,
            then=first,
            now=last,
            outcomes=dict(self.log.outcomes),
            timeline=self.line,
            transitions=tuple(self.cure_search.transitions) if self.cure_search is not None else found,
            turns=() if self.transition is None else turns(self.log, self.line, self.transition),
            attempts=tuple(self.cure_search.attempts) if self.cure_search is not None else (),
            cure=None if self.cure_search is None else self.cure_search.cure,
            tests=self.log.tests,
            resolutions=self.log.resolutions,
            stopped=self.log.stopped,
        )
