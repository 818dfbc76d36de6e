"""Which ranges make today's resolution good. Mending one break often uncovers the next: then that one is blamed too."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from packaging.version import Version

from matrix.answers.blame.asked import Ledger, Steps
from matrix.answers.blame.delta import changes
from matrix.answers.blame.questions import Attempt, Changed, Cure, Measured, Ranges, Recipe, Resolved, Transition
from matrix.answers.blame.ranges import cap, merged
from matrix.answers.blame.timeline import timeline
from matrix.answers.blame.transitions import locate


def _raised(one: Changed) -> bool:
    return one.before is not None and one.after is not None and Version(one.before) < Version(one.after)


@dataclass(frozen=True)
class _Stand:
    """Where the mending stands: the ranges in place, today's resolution under them, and how the cell fails in it."""

    ranges: Ranges
    environment: Resolved
    measured: Measured


@dataclass
class Mending:
    """Looks for the ranges, in this order: caps that hold back the culprits of the newest transition, each alone and
    then together; what the remedies of today's failure name (before the caps, where that is another failure than the
    transition's); the culprits of a further transition, found under the ranges in place. A range that lets today fail
    in another way is kept and the search goes on from there; one that leaves the failure as it is, last of all, for
    there may be two breaks that look alike. No ranges are tried twice, so it ends; the number of tests is bounded by
    the ledger's limit only.

    What was tried (`attempts`), uncovered (`transitions`, the given one first) and found (`cure`) can be read at any
    time, also where the limit ended it."""

    ledger: Ledger
    then: dt.date
    now: Resolved
    transitions: list[Transition]
    attempts: list[Attempt] = field(default_factory=list)
    cure: Cure | None = None
    _tried: set[Ranges] = field(default_factory=set)

    def search(self) -> Steps[None]:
        """Raises LimitReached; what is known then stays."""
        measured = yield from self.ledger.outcome(self.now)
        if (yield from self._mend(_Stand((), self.now, measured), self.transitions[0])):
            yield from self._drop_needless()

    def _mend(self, stand: _Stand, transition: Transition) -> Steps[bool]:
        caps = yield from self._caps(stand, transition)
        without_progress: list[_Stand] = []
        hints = [hint for hint in stand.measured.hints if hint not in caps]
        # Another failure than the transition's hides it today: holding back the culprits would not show yet.
        hidden = stand.measured.failure != transition.measured.failure
        for ranges in hints + caps if hidden else caps + hints:
            reached = yield from self._attempt(stand, ranges)
            if reached is None:
                continue
            if reached.measured.good:
                self._found(reached)
                return True
            if reached.measured.failure != stand.measured.failure:
                if (yield from self._mend(reached, transition)):
                    return True
            elif ranges in caps:
                without_progress.append(reached)
        if transition.under != stand.ranges:
            further = yield from self._blame_again(stand, transition)
            if further is not None:
                self.transitions.append(further)
                if (yield from self._mend(stand, further)):
                    return True
        for reached in without_progress:
            if (yield from self._mend(reached, transition)):
                return True
        return False

    def _caps(self, stand: _Stand, transition: Transition) -> Steps[list[Ranges]]:
        """Those that hold back single culprits, the one first that changes least of today's resolution, and all at
        once. If it could not be decided which of the changes it is, all of them."""
        culprits = transition.changes if transition.culprits is None else transition.culprits
        single = [found for one in culprits if (found := cap(one))]
        together: Ranges = ()
        for one in single:
            together = merged(together, one)
        if transition.skipped and transition.culprits is not None:
            # What lies between the two could not be tested: a cap that lets it in may lead nowhere.
            single += [((one.package, f"<={one.before}"),) for one in culprits if _raised(one)]
        recipes = [self._recipe(merged(stand.ranges, one)) for one in single]
        resolved = yield from self.ledger.resolve(recipes)
        intrusion = {
            one: len(changes(stand.environment, environment)) if environment.solved else len(stand.environment.packages)
            for one, environment in zip(single, resolved, strict=True)
        }
        ordered = sorted(single, key=lambda one: (intrusion[one], one)) if transition.culprits is not None else []
        return ordered + ([together] if together and together not in ordered else [])

    def _attempt(self, stand: _Stand, ranges: Ranges) -> Steps[_Stand | None]:
        """Where the ranges lead beside those in place; None where they say nothing new, have no solution or cannot be
        tested."""
        joined = merged(stand.ranges, ranges)
        if joined == stand.ranges or joined in self._tried:
            return None
        self._tried.add(joined)
        (environment,) = yield from self.ledger.resolve((self._recipe(joined),))
        if environment.digest == stand.environment.digest:
            # Today keeps to them anyway. They may matter to the time between all the same.
            return _Stand(joined, environment, stand.measured)
        measured = yield from self._note(joined, environment)
        return None if measured is None or measured.good is None else _Stand(joined, environment, measured)

    def _note(self, ranges: Ranges, environment: Resolved) -> Steps[Measured | None]:
        measured = (yield from self.ledger.outcome(environment)) if environment.solved else None
        self.attempts.append(Attempt(ranges, environment, measured))
        return measured

    def _blame_again(self, stand: _Stand, last: Transition) -> Steps[Transition | None]:
        """The next transition, with the ranges in place. Looked for from the latest day that is known to be good with
        them: after the last one, before it, or the given good date; None where it is good on none of them."""
        days = sorted({self.then, last.before.recipe.as_of, last.after.recipe.as_of}, reverse=True)
        starts = yield from self.ledger.resolve([Recipe(day, stand.ranges) for day in days])
        good = [start for start in starts if (seen := self.ledger.known(start)) is not None and seen.good]
        if not good:
            if not (yield from self.ledger.outcome(starts[-1])).good:
                return None
            good = [starts[-1]]
        line = yield from timeline(self.ledger, good[0].recipe.as_of, self.now.recipe.as_of, stand.ranges)
        return (yield from locate(self.ledger, line, stand.ranges))

    def _drop_needless(self) -> Steps[None]:
        """Takes out of the cure, one at a time, each package's range without which today is good too; that one first
        which changes most."""
        dropped = True
        while dropped and self.cure is not None and len(self.cure.ranges) > 1:
            dropped = False
            cured = self.cure.environment
            fewer = [tuple(one for one in self.cure.ranges if one != left) for left in self.cure.ranges]
            resolved = yield from self.ledger.resolve([self._recipe(ranges) for ranges in fewer])
            for ranges, environment in sorted(
                zip(fewer, resolved, strict=True), key=lambda item: -len(changes(cured, item[1]))
            ):
                known = self.ledger.known(environment)
                measured = known if known is not None else (yield from self._note(ranges, environment))
                if measured is not None and measured.good:
                    self._found(_Stand(ranges, environment, measured))
                    dropped = True
                    break

    def _found(self, stand: _Stand) -> None:
        self.cure = Cure(stand.ranges, stand.environment, changes(self.now, stand.environment))

    def _recipe(self, ranges: Ranges) -> Recipe:
        return Recipe(self.now.recipe.as_of, ranges)
