"""What a search has asked and been told. Nothing is asked twice."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from matrix.answers.blame.questions import Answer, Ask, Measure, Measured, Recipe, Resolve, Resolved
from matrix.judging.finding import Finding

T = TypeVar("T")
Steps = Generator[Ask, Answer, T]
"""A part of a search: it asks, is sent the answers, and returns what it found."""

UNSOLVED = Measured(Finding("unsatisfiable", stage="lock", said="no packages fulfil what is asked for"))


class LimitReached(Exception):
    """One more run of the cell would be one too many. Never leaves a search: what it knows by then is its answer."""


@dataclass
class Ledger:
    """The answers so far. At most `limit` environments are measured."""

    limit: int
    outcomes: dict[str, Measured] = field(default_factory=dict)
    """By digest; what has no solution is in it too, although nothing was run for it."""
    tests: int = 0
    stopped: bool = False
    """Whether the limit, or that of whoever answers, was in the way of a run."""
    _resolved: dict[Recipe, Resolved] = field(default_factory=dict)

    @property
    def resolutions(self) -> int:
        """How many recipes the resolver was given."""
        return len(self._resolved)

    def resolve(self, recipes: Sequence[Recipe]) -> Steps[tuple[Resolved, ...]]:
        """What the recipes resolve to, in their order. What is not known yet is asked for in one go."""
        if wanted := tuple(dict.fromkeys(recipe for recipe in recipes if recipe not in self._resolved)):
            answer = yield Resolve(wanted)
            if isinstance(answer, Measured):
                raise TypeError("a Resolve is answered by a tuple of Resolved")
            self._resolved.update(zip(wanted, answer, strict=True))
        return tuple(self._resolved[recipe] for recipe in recipes)

    def outcome(self, environment: Resolved) -> Steps[Measured]:
        """What the cell comes out as there. Raises LimitReached where that needs a run too many."""
        known = self.known(environment)
        if known is None:
            if self.tests >= self.limit:
                self.stopped = True
                raise LimitReached
            try:
                answer = yield Measure(environment)
            except LimitReached:
                # Thrown in by who answers, for want of time.
                self.stopped = True
                raise
            if not isinstance(answer, Measured):
                raise TypeError("a Measure is answered by Measured")
            self.tests += 1
            known = answer
        self.outcomes[environment.digest] = known
        return known

    def known(self, environment: Resolved) -> Measured | None:
        """What the cell comes out as there, if no run is needed to know: without a solution it fails."""
        return self.outcomes.get(environment.digest) if environment.solved else UNSOLVED
