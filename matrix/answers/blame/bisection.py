"""Between a good and a bad end: which environment to look at next, until a good and a bad one are neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matrix.answers.blame.asked import Ledger, LimitReached, Steps
from matrix.answers.blame.questions import Ranges, Resolved
from matrix.answers.blame.ranges import fulfilled

HINTED = 2
"""What following the hints of one failure may cost beyond plain bisection."""


@dataclass(frozen=True)
class Bracket:
    """A good index and a bad one beyond it, with nothing between them but what could not be tested."""

    good: int
    bad: int

    @property
    def skipped(self) -> int:
        return self.bad - self.good - 1


def bracket(known: Mapping[int, bool | None]) -> Bracket:
    """The bad one that is nearest to the good end, and the last good one before it."""
    bad = min(index for index, good in known.items() if good is False)
    return Bracket(max(index for index, good in known.items() if good and index < bad), bad)


def next_probe(known: Mapping[int, bool | None], hints: Sequence[int] = (), granted: int = 0) -> int | Bracket:
    """The index to test next, or the transition. `known` says of indices whether they are good, None where that cannot
    be found out; 0, the good end, is good and the last one bad.

    The one nearest to the middle that is untried: ceil(log2(n - 1)) tests for n environments as long as each can be
    tested. `hints` are indices at which a break is suspected: such a one is tried, and if it is bad the one before it,
    which makes two tests of it all where the suspicion is right; as long as it can be wrong and still be done within
    `granted` tests."""
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


def standing(ledger: Ledger, line: Sequence[Resolved]) -> dict[int, bool | None]:
    """What is known of the members of a line, by index."""
    return {index: seen.good for index, item in enumerate(line) if (seen := ledger.known(item)) is not None}


def depth(width: int) -> int:
    """How many halvings make a width 1: ceil(log2(width))."""
    return (width - 1).bit_length()


def narrow(ledger: Ledger, line: Sequence[Resolved], hints: Sequence[Ranges] = ()) -> Steps[Bracket]:
    """The transition next to `line[0]`, which is known to be good, as `line[-1]` is to be bad. Whatever is known of
    members already costs nothing. Ranges that the remedies of a failure name, and `hints`, say where to look first.

    At most ceil(log2(w)) + 2 * f tests as long as each environment can be tested; w, at most n - 1, is how far apart
    the nearest known good and bad ones are at the start, f counts the different failures met that hint at ranges, and
    `hints` as one more. Where the limit is reached what lies between is left as skipped."""
    granted = None
    hinting: set[object] = set()
    while True:
        known = standing(ledger, line)
        found = bracket(known)
        if granted is None:
            granted = depth(found.bad - found.good) + (HINTED if hints else 0)
        failed = ledger.known(line[found.bad])
        wanted = [*hints, *(failed.hints if failed is not None else ())]
        if failed is not None and failed.hints and failed.failure not in hinting:
            hinting.add(failed.failure)
            granted += HINTED
        suspects = [index for ranges in wanted if (index := _first(line, found, ranges)) is not None]
        probe = next_probe(known, suspects, granted)
        if isinstance(probe, Bracket):
            return probe
        try:
            yield from ledger.outcome(line[probe])
        except LimitReached:
            return found
        granted -= 1


def _first(line: Sequence[Resolved], pair: Bracket, ranges: Ranges) -> int | None:
    """Where the ranges are left; nowhere if the good one is outside of them and good all the same."""
    if not fulfilled(line[pair.good].packages, ranges):
        return None
    return next((i for i in range(pair.good + 1, pair.bad + 1) if not fulfilled(line[i].packages, ranges)), None)
