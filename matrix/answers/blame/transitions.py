"""Find one transition: its two environments, what changed between them, and the culprits among it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from matrix.answers.blame.bisection import Bracket, bracket, narrow, outcomes
from matrix.answers.blame.delta import changes, minimise
from matrix.answers.blame.probes import LimitReached, ProbeLog, Steps
from matrix.answers.blame.ranges import cap, fulfilled
from matrix.answers.blame.types import Ranges, Resolved, Transition, Turn


def locate(log: ProbeLog, line: Sequence[Resolved], under: Ranges = (), earlier: bool = False) -> Steps[Transition]:
    """Find the transition nearest to `line[0]`, which is good as `line[-1]` is bad, with its culprits.

    With `earlier`, versions like the culprits are also looked for nearer to the good end, because a fault may have
    been mended and have returned, and bisection finds any one of the transitions. That costs one test; if it was right,
    at most ceil(log2(n - 1)) + 2 more (and two for each failure with hints), and the tests for the culprits of the
    second. The same applies if a mixture that was run to find the culprits is a bad environment nearer to the good end.
    """
    caps: list[Ranges] = []
    while True:
        pair = yield from narrow(log, line, caps)
        found = yield from _explain(log, line, pair, under)
        if bracket(outcomes(log, line)).bad < pair.bad:
            # A mixture that was run to find the culprits is a bad environment nearer to the good end.
            continue
        if not earlier:
            return found
        earlier, caps = False, _caps(found)
        suspect = next(iter(_alike(log, line[: pair.good], caps)), None)
        try:
            if suspect is None or (yield from log.outcome(suspect)).good is not False:
                return found
        except LimitReached:
            return found


def turns(log: ProbeLog, line: Sequence[Resolved], but: Transition) -> tuple[Turn, ...]:
    """Return the other changes of verdict that were observed along `line`, oldest first."""
    found: list[Turn] = []
    last: tuple[Resolved, bool] | None = None
    for environment in line:
        seen = log.known(environment)
        if seen is None or seen.good is None:
            continue
        if last is not None and last[1] != seen.good and not _is(but, last[0], environment):
            found.append(Turn("mended" if seen.good else "broken again", last[0], environment))
        last = environment, seen.good
    return tuple(found)


def _explain(log: ProbeLog, line: Sequence[Resolved], pair: Bracket, under: Ranges) -> Steps[Transition]:
    before, after = line[pair.good], line[pair.bad]
    measured = log.known(after)
    if measured is None:
        raise ValueError("a transition must end with an environment in which the cell failed")
    culprits = yield from minimise(log, before, after)
    return Transition(before, after, measured, changes(before, after), culprits, under, pair.skipped)


def _caps(transition: Transition) -> list[Ranges]:
    return [found for one in transition.culprits or () if (found := cap(one))]


def _alike(log: ProbeLog, line: Sequence[Resolved], caps: Sequence[Ranges]) -> list[Resolved]:
    """Return untested environments beyond the caps: first those beyond all of them, like the transition that was found,
    then those beyond any; in both groups the one nearest to the good end first.
    """
    beyond = [
        (sum(not fulfilled(environment.packages, one) for one in caps), environment)
        for environment in line
        if log.known(environment) is None
    ]
    every = [environment for count, environment in beyond if count == len(caps)]
    return every + [environment for count, environment in beyond if 0 < count < len(caps)]


def _is(transition: Transition, one: Resolved, other: Resolved) -> bool:
    days: set[dt.date] = {transition.before.recipe.as_of, transition.after.recipe.as_of}
    return days == {one.recipe.as_of, other.recipe.as_of}
