"""Who broke it: the whole search, from two dates to the day, the packages and a cure. Questions out, answers in."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from dataclasses import dataclass

from matrix.answers.blame.asked import Ledger, LimitReached, Steps
from matrix.answers.blame.cure import Mending
from matrix.answers.blame.questions import Blame, Kind, Recipe, Resolved, Transition
from matrix.answers.blame.timeline import timeline
from matrix.answers.blame.transitions import locate, turns


def investigate(then: dt.date, now: dt.date, limit: int) -> Steps[Blame]:
    """What is to blame for a cell that comes out otherwise as of `now` than as of `then`, not later. It is run in at
    most `limit` environments, the two dates' own included; where that is too few, the answer is what was found by then
    and says `stopped`. What is asked depends on nothing but the answers.

    With n distinct environments between the dates, k versions that changed at the transition, f different failures met
    whose remedies name ranges, and environments that can all be tested: 2 tests for the ends, ceil(log2(n - 1)) + 2 * f
    for the transition, k * k + 3 * k for its culprits (none if k is 1). An earlier break of the same kind costs one
    test to suspect and as much again, and 2, to find. Each further transition while mending costs the same as the first
    at most; what a cure costs beyond is bounded by `limit` only."""
    if then > now:
        raise ValueError(f"{then} is after {now}")
    inquiry = _Inquiry(Ledger(limit), then, now)
    with suppress(LimitReached):
        yield from inquiry.run()
    return inquiry.blame()


@dataclass
class _Inquiry:
    ledger: Ledger
    then: dt.date
    now: dt.date
    kind: Kind = "indeterminate"
    ends: tuple[Resolved, ...] = ()
    line: tuple[Resolved, ...] = ()
    transition: Transition | None = None
    mending: Mending | None = None

    def run(self) -> Steps[None]:
        self.ends = yield from self.ledger.resolve((Recipe(self.then), Recipe(self.now)))
        first, last = self.ends
        before = (yield from self.ledger.outcome(first)).good
        if before is None:
            return
        after = (yield from self.ledger.outcome(last)).good
        if after is None:
            return
        if before == after:
            self.kind = "works" if before else "never worked"
            return
        self.kind = "broken" if before else "mended"
        self.line = yield from timeline(self.ledger, self.then, self.now)
        away_from_good = self.line if before else self.line[::-1]
        self.transition = yield from locate(self.ledger, away_from_good, hunch=True)
        if self.kind == "broken" and not self.ledger.stopped:
            self.mending = Mending(self.ledger, self.then, last, [self.transition])
            yield from self.mending.search()

    def blame(self) -> Blame:
        first, last = self.ends
        found = () if self.transition is None else (self.transition,)
        return Blame(
            kind=self.kind,
            then=first,
            now=last,
            outcomes=dict(self.ledger.outcomes),
            timeline=self.line,
            transitions=tuple(self.mending.transitions) if self.mending is not None else found,
            turns=() if self.transition is None else turns(self.ledger, self.line, self.transition),
            attempts=tuple(self.mending.attempts) if self.mending is not None else (),
            cure=None if self.mending is None else self.mending.cure,
            tests=self.ledger.tests,
            resolutions=self.ledger.resolutions,
            stopped=self.ledger.stopped,
        )
