"""One transition in full: where it is, what changed there, and what of it carries the fault."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from matrix.answers.blame.asked import Ledger, LimitReached, Steps
from matrix.answers.blame.bisection import Bracket, bracket, narrow, standing
from matrix.answers.blame.delta import changes, minimise
from matrix.answers.blame.questions import Ranges, Resolved, Transition, Turn
from matrix.answers.blame.ranges import cap, fulfilled


def locate(ledger: Ledger, line: Sequence[Resolved], under: Ranges = (), hunch: bool = False) -> Steps[Transition]:
    """The transition next to `line[0]`, which is good as `line[-1]` is bad, with its culprits.

    With `hunch` their like is looked for nearer to the good end: a fault may have been mended and let in again, and
    bisection finds any one of the transitions. That costs one test, and where it was right at most
    ceil(log2(n - 1)) + 2 more (and two for each failure that hints), and the culprits' of the second.
    So does a mixture run for the culprits that turns out to be an environment nearer to the good end, and bad."""
    caps: list[Ranges] = []
    while True:
        pair = yield from narrow(ledger, line, caps)
        found = yield from _explain(ledger, line, pair, under)
        if bracket(standing(ledger, line)).bad < pair.bad:
            # A mixture that was run for the culprits is an environment nearer to the good end, and bad.
            continue
        if not hunch:
            return found
        hunch, caps = False, _caps(found)
        suspect = next(iter(_alike(ledger, line[: pair.good], caps)), None)
        try:
            if suspect is None or (yield from ledger.outcome(suspect)).good is not False:
                return found
        except LimitReached:
            return found


def turns(ledger: Ledger, line: Sequence[Resolved], but: Transition) -> tuple[Turn, ...]:
    """The changes of verdict along `line`, oldest first, that were seen beside the transition."""
    found: list[Turn] = []
    last: tuple[Resolved, bool] | None = None
    for environment in line:
        seen = ledger.known(environment)
        if seen is None or seen.good is None:
            continue
        if last is not None and last[1] != seen.good and not _is(but, last[0], environment):
            found.append(Turn("mended" if seen.good else "broken again", last[0], environment))
        last = environment, seen.good
    return tuple(found)


def _explain(ledger: Ledger, line: Sequence[Resolved], pair: Bracket, under: Ranges) -> Steps[Transition]:
    before, after = line[pair.good], line[pair.bad]
    measured = ledger.known(after)
    if measured is None:
        raise ValueError("a transition ends where the cell was seen to fail")
    culprits = yield from minimise(ledger, before, after)
    return Transition(before, after, measured, changes(before, after), culprits, under, pair.skipped)


def _caps(transition: Transition) -> list[Ranges]:
    return [found for one in transition.culprits or () if (found := cap(one))]


def _alike(ledger: Ledger, line: Sequence[Resolved], caps: Sequence[Ranges]) -> list[Resolved]:
    """What is beyond the caps and untested: first those that are beyond each of them, as the later break is, then those
    beyond any; of both the one nearest to the good end first."""
    beyond = [
        (sum(not fulfilled(environment.packages, one) for one in caps), environment)
        for environment in line
        if ledger.known(environment) is None
    ]
    every = [environment for count, environment in beyond if count == len(caps)]
    return every + [environment for count, environment in beyond if 0 < count < len(caps)]


def _is(transition: Transition, one: Resolved, other: Resolved) -> bool:
    days: set[dt.date] = {transition.before.recipe.as_of, transition.after.recipe.as_of}
    return days == {one.recipe.as_of, other.recipe.as_of}
