"""The probes that a search has made. None is made twice."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from matrix.answers.blame.types import Measure, Measured, Probe, ProbeResult, Recipe, Resolve, Resolved
from matrix.judging.finding import Finding

T = TypeVar("T")
Steps = Generator[Probe, ProbeResult, T]
"""A part of a search: it yields probes, is sent their results, and returns what it found."""

UNSOLVED = Measured(Finding("unsatisfiable", stage="lock", said="no packages satisfy the requirements"))


class LimitReached(Exception):
    """The budget of runs or time is used up. Never leaves a search, which then returns what it knows."""


@dataclass
class ProbeLog:
    """Results so far. At most `limit` environments are measured."""

    limit: int
    outcomes: dict[str, Measured] = field(default_factory=dict)
    """By digest of the environment, including those without a solution, for which nothing was run."""
    tests: int = 0
    stopped: bool = False
    """Whether a limit, this one or the runner's, prevented a run."""
    _resolved: dict[Recipe, Resolved] = field(default_factory=dict)

    @property
    def resolutions(self) -> int:
        """Return how many recipes were resolved."""
        return len(self._resolved)

    def resolve(self, recipes: Sequence[Recipe]) -> Steps[tuple[Resolved, ...]]:
        """Return what the recipes resolve to, in their order. Unknown ones are resolved in one probe."""
        if wanted := tuple(dict.fromkeys(recipe for recipe in recipes if recipe not in self._resolved)):
            answer = yield Resolve(wanted)
            if isinstance(answer, Measured):
                raise TypeError("the result of Resolve must be a tuple of Resolved")
            self._resolved.update(zip(wanted, answer, strict=True))
        return tuple(self._resolved[recipe] for recipe in recipes)

    def outcome(self, environment: Resolved) -> Steps[Measured]:
        """Return the outcome of the cell there. Raises LimitReached if that needs a run beyond the limit."""
        known = self.known(environment)
        if known is None:
            if self.tests >= self.limit:
                self.stopped = True
                raise LimitReached
            try:
                answer = yield Measure(environment)
            except LimitReached:
                # Thrown in by the runner when its time is used up.
                self.stopped = True
                raise
            if not isinstance(answer, Measured):
                raise TypeError("the result of Measure must be Measured")
            self.tests += 1
            known = answer
        self.outcomes[environment.digest] = known
        return known

    def known(self, environment: Resolved) -> Measured | None:
        """Return the outcome if no run is needed to know it: without a solution the cell fails."""
        return self.outcomes.get(environment.digest) if environment.solved else UNSOLVED
