"""Find ranges that make today's resolution good. A fix often unmasks the next failure, which is then blamed too."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from packaging.version import Version

from matrix.answers.blame.bisection import timeline
from matrix.answers.blame.delta import changes
from matrix.answers.blame.probes import ProbeLog, Steps
from matrix.answers.blame.ranges import cap, merged
from matrix.answers.blame.transitions import locate
from matrix.answers.blame.types import Attempt, Changed, Cure, Measured, Ranges, Recipe, Resolved, Transition


def _raised(one: Changed) -> bool:
    return one.before is not None and one.after is not None and Version(one.before) < Version(one.after)


@dataclass(frozen=True)
class _State:
    """The ranges in place, today's resolution under them, and how the cell fails in it."""

    ranges: Ranges
    environment: Resolved
    measured: Measured


@dataclass
class CureSearch:
    """Tries ranges in this order: caps below the culprits of the newest transition, each alone and then all together;
    the ranges named by the remedies of today's failure (before the caps, if it is not the transition's failure); the
    culprits of a further transition, found under the ranges in place. Ranges that change today's failure are kept, and
    the search continues from there. Ranges that leave it as it is are retried last, since two breaks may look alike. No
    ranges are tried twice, so the search ends; the number of tests is bounded only by the limit of `log`.

    `attempts`, `transitions` (the given one first) and `cure` can be read at any time, also after LimitReached.
    """

    log: ProbeLog
    then: dt.date
    now: Resolved
    transitions: list[Transition]
    attempts: list[Attempt] = field(default_factory=list)
    cure: Cure | None = None
    _tried: set[Ranges] = field(default_factory=set)

    def search(self) -> Steps[None]:
        """Run the search. Raises LimitReached; what was found until then stays."""
        measured = yield from self.log.outcome(self.now)
        if (yield from self._fix(_State((), self.now, measured), self.transitions[0])):
            yield from self._drop_needless()

    def _fix(self, state: _State, transition: Transition) -> Steps[bool]:
        caps = yield from self._caps(state, transition)
        without_progress: list[_State] = []
        hints = [hint for hint in state.measured.hints if hint not in caps]
        # Today's failure masks that of the transition: capping the culprits would have no visible effect yet.
        hidden = state.measured.failure != transition.measured.failure
        for ranges in hints + caps if hidden else caps + hints:
            reached = yield from self._attempt(state, ranges)
            if reached is None:
                continue
            if reached.measured.good:
                self._found(reached)
                return True
            if reached.measured.failure != state.measured.failure:
                if (yield from self._fix(reached, transition)):
                    return True
            elif ranges in caps:
                without_progress.append(reached)
        if transition.under != state.ranges:
            further = yield from self._next_transition(state, transition)
            if further is not None:
                self.transitions.append(further)
                if (yield from self._fix(state, further)):
                    return True
        for reached in without_progress:
            if (yield from self._fix(reached, transition)):
                return True
        return False

    def _caps(self, state: _State, transition: Transition) -> Steps[list[Ranges]]:
        """Return caps for the single culprits, the least intrusive first, and all of them together. If the culprits are
        unknown, only the caps of all changes together.
        """
        culprits = transition.changes if transition.culprits is None else transition.culprits
        single = [found for one in culprits if (found := cap(one))]
        together: Ranges = ()
        for one in single:
            together = merged(together, one)
        if transition.skipped and transition.culprits is not None:
            # Versions in between could not be tested: a cap that admits them may not help.
            single += [((one.package, f"<={one.before}"),) for one in culprits if _raised(one)]
        recipes = [self._recipe(merged(state.ranges, one)) for one in single]
        resolved = yield from self.log.resolve(recipes)
        intrusion = {
            one: len(changes(state.environment, environment)) if environment.solved else len(state.environment.packages)
            for one, environment in zip(single, resolved, strict=True)
        }
        ordered = sorted(single, key=lambda one: (intrusion[one], one)) if transition.culprits is not None else []
        return ordered + ([together] if together and together not in ordered else [])

    def _attempt(self, state: _State, ranges: Ranges) -> Steps[_State | None]:
        """Try ranges on top of those in place; None if they add nothing, have no solution or cannot be tested."""
        joined = merged(state.ranges, ranges)
        if joined == state.ranges or joined in self._tried:
            return None
        self._tried.add(joined)
        (environment,) = yield from self.log.resolve((self._recipe(joined),))
        if environment.digest == state.environment.digest:
            # Today satisfies them anyway, but they may matter to resolutions as of other days.
            return _State(joined, environment, state.measured)
        measured = yield from self._note(joined, environment)
        return None if measured is None or measured.good is None else _State(joined, environment, measured)

    def _note(self, ranges: Ranges, environment: Resolved) -> Steps[Measured | None]:
        measured = (yield from self.log.outcome(environment)) if environment.solved else None
        self.attempts.append(Attempt(ranges, environment, measured))
        return measured

    def _next_transition(self, state: _State, last: Transition) -> Steps[Transition | None]:
        """Find the next transition under the ranges in place, from the latest day known to be good with them: after the
        last transition, before it, or the given good date. None if it is good on none of them.
        """
        days = sorted({self.then, last.before.recipe.as_of, last.after.recipe.as_of}, reverse=True)
        starts = yield from self.log.resolve([Recipe(day, state.ranges) for day in days])
        good = [start for start in starts if (seen := self.log.known(start)) is not None and seen.good]
        if not good:
            if not (yield from self.log.outcome(starts[-1])).good:
                return None
            good = [starts[-1]]
        line = yield from timeline(self.log, good[0].recipe.as_of, self.now.recipe.as_of, state.ranges)
        return (yield from locate(self.log, line, state.ranges))

    def _drop_needless(self) -> Steps[None]:
        """Remove ranges from the cure that it does not need, one at a time, the most intrusive first."""
        dropped = True
        while dropped and self.cure is not None and len(self.cure.ranges) > 1:
            dropped = False
            cured = self.cure.environment
            fewer = [tuple(one for one in self.cure.ranges if one != left) for left in self.cure.ranges]
            resolved = yield from self.log.resolve([self._recipe(ranges) for ranges in fewer])
            for ranges, environment in sorted(
                zip(fewer, resolved, strict=True), key=lambda item: -len(changes(cured, item[1]))
            ):
                known = self.log.known(environment)
                measured = known if known is not None else (yield from self._note(ranges, environment))
                if measured is not None and measured.good:
                    self._found(_State(ranges, environment, measured))
                    dropped = True
                    break

    def _found(self, state: _State) -> None:
        self.cure = Cure(state.ranges, state.environment, changes(self.now, state.environment))

    def _recipe(self, ranges: Ranges) -> Recipe:
        return Recipe(self.now.recipe.as_of, ranges)
