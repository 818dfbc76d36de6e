"""What a search for the culprit asks, what it is told, and what it concludes. Plain data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from matrix.judging.finding import Finding

Ranges = tuple[tuple[str, str], ...]
"""(package, specifier) pairs, sorted by package: `(("protobuf", "<4"),)`. They hold where a package is needed."""


@dataclass(frozen=True)
class Recipe:
    """The environment in question, resolved as of a day under further ranges."""

    as_of: dt.date
    ranges: Ranges = ()


@dataclass(frozen=True)
class Resolved:
    """What the resolver answered to a recipe. Equal digests are the same environment; `packages` (name to exact
    version) is empty where no solution exists, and then `explanation` is the resolver's."""

    recipe: Recipe
    digest: str
    packages: Mapping[str, str]
    explanation: str = ""

    @property
    def solved(self) -> bool:
        return bool(self.packages)


@dataclass(frozen=True)
class Measured:
    """What the cell came out as in one environment. `hints` are the ranges that the remedies of its reason name, the
    likeliest first; `cell` is where it can be looked up. `words` tell apart what has one reason only because that is
    general or unknown."""

    finding: Finding
    hints: tuple[Ranges, ...] = ()
    cell: str = ""
    words: str = ""

    @property
    def good(self) -> bool | None:
        """Whether it matched; None where that could not be found out."""
        return None if self.finding.indeterminate else self.finding.good

    @property
    def failure(self) -> tuple[str | None, ...]:
        """What tells one failure from another."""
        return self.finding.role, self.finding.stage, self.finding.reason, self.words


@dataclass(frozen=True)
class Resolve:
    """Please resolve these; answered by a tuple of Resolved in the same order."""

    recipes: tuple[Recipe, ...]


@dataclass(frozen=True)
class Measure:
    """Please run the cell in this environment; answered by Measured. Never asked of one that has no solution."""

    environment: Resolved


Ask = Resolve | Measure
Answer = tuple[Resolved, ...] | Measured


@dataclass(frozen=True)
class Changed:
    """A package in which two environments differ; None where it is not there."""

    package: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Transition:
    """Two neighbours among the distinct environments of a time, of which one is good and the next is bad. `before` is
    the one next to the given good date, whichever way time runs. `culprits` are a minimal set of the `changes`: with
    them the good one turns bad, with fewer it does not; None where that could not be decided. `under` are the ranges
    that were already in place, `skipped` how many environments between the two could not be tested."""

    before: Resolved
    after: Resolved
    measured: Measured
    changes: tuple[Changed, ...]
    culprits: tuple[Changed, ...] | None
    under: Ranges = ()
    skipped: int = 0


@dataclass(frozen=True)
class Turn:
    """A further change of verdict that the evidence shows: somewhere after `before` and not later than `after`."""

    kind: Literal["mended", "broken again"]
    before: Resolved
    after: Resolved


@dataclass(frozen=True)
class Attempt:
    """Ranges tried on today's resolution: what came of them, None where no packages fulfil them."""

    ranges: Ranges
    environment: Resolved
    measured: Measured | None


@dataclass(frozen=True)
class Cure:
    """The ranges with which today's resolution is good, and what differs in it from today's."""

    ranges: Ranges
    environment: Resolved
    changes: tuple[Changed, ...]


Kind = Literal["broken", "mended", "never worked", "works", "indeterminate"]


@dataclass(frozen=True)
class Blame:
    """All that is concluded about a cell. `then` and `now` are the two resolutions that were compared. `timeline` are
    the distinct environments between them, oldest first, as far as they were looked at, and `outcomes` what the
    tested ones came out as, by digest. `transitions[0]` is the one next to the good date; those after it were
    uncovered while mending, each under the ranges that mended the ones before. `tests` counts the environments in
    which the cell was run, the two ends included; `stopped` says that a limit on them, or on time, cut the search
    short."""

    kind: Kind
    then: Resolved
    now: Resolved
    outcomes: Mapping[str, Measured]
    timeline: tuple[Resolved, ...] = ()
    transitions: tuple[Transition, ...] = ()
    turns: tuple[Turn, ...] = ()
    attempts: tuple[Attempt, ...] = field(default=())
    cure: Cure | None = None
    tests: int = 0
    resolutions: int = 0
    stopped: bool = False
