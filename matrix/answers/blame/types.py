"""Probes of a search, their results, and its conclusion. Plain data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from matrix.judging.finding import Finding

Ranges = tuple[tuple[str, str], ...]
"""(package, specifier) pairs, sorted by package: `(("protobuf", "<4"),)`. They apply only if a package is needed."""


@dataclass(frozen=True)
class Recipe:
    """The environment of the row, resolved as of a day under further ranges."""

    as_of: dt.date
    ranges: Ranges = ()


@dataclass(frozen=True)
class Resolved:
    """A resolved recipe. Equal digests mean the same environment; `packages` (name to exact version) is empty if no
    solution exists, and then `explanation` is the resolver's."""

    recipe: Recipe
    digest: str
    packages: Mapping[str, str]
    explanation: str = ""

    @property
    def solved(self) -> bool:
        return bool(self.packages)


@dataclass(frozen=True)
class Measured:
    """The outcome of the cell in one environment. `hints` are the ranges named by the remedies of its reason, the
    likeliest first; `cell` is the id under which it is stored. `words` distinguish failures whose common reason is
    general or unknown."""

    finding: Finding
    hints: tuple[Ranges, ...] = ()
    cell: str = ""
    words: str = ""

    @property
    def good(self) -> bool | None:
        """Whether it matched; None if that could not be determined."""
        return None if self.finding.indeterminate else self.finding.good

    @property
    def failure(self) -> tuple[str | None, ...]:
        """What distinguishes one failure from another."""
        return self.finding.role, self.finding.stage, self.finding.reason, self.words


@dataclass(frozen=True)
class Resolve:
    """Resolve these. The result is a tuple of Resolved in the same order."""

    recipes: tuple[Recipe, ...]


@dataclass(frozen=True)
class Measure:
    """Run the cell in this environment, which has a solution. The result is Measured."""

    environment: Resolved


Probe = Resolve | Measure
ProbeResult = tuple[Resolved, ...] | Measured


@dataclass(frozen=True)
class Changed:
    """A package whose version differs between two environments; None if it is absent."""

    package: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Transition:
    """Two consecutive distinct environments, one good and the next bad. `before` is the one towards the given good
    date, in whichever direction time runs. `culprits` are a minimal set of the `changes` that turns the good one bad;
    None if it could not be determined. `under` are the ranges that were already in place, `skipped` how many
    environments between the two could not be tested."""

    before: Resolved
    after: Resolved
    measured: Measured
    changes: tuple[Changed, ...]
    culprits: tuple[Changed, ...] | None
    under: Ranges = ()
    skipped: int = 0


@dataclass(frozen=True)
class Turn:
    """A further change of verdict that was observed: after `before` and not later than `after`."""

    kind: Literal["mended", "broken again"]
    before: Resolved
    after: Resolved


@dataclass(frozen=True)
class Attempt:
    """Ranges tried on today's resolution, and the outcome; None if no packages satisfy them."""

    ranges: Ranges
    environment: Resolved
    measured: Measured | None


@dataclass(frozen=True)
class Cure:
    """The ranges with which today's resolution is good, and how it differs from the one without them."""

    ranges: Ranges
    environment: Resolved
    changes: tuple[Changed, ...]


Kind = Literal["broken", "mended", "never worked", "works", "indeterminate"]


@dataclass(frozen=True)
class Blame:
    """The conclusion about a cell. `then` and `now` are the two resolutions that were compared, `timeline` the distinct
    environments between them that were looked at, oldest first, `outcomes` those of tested environments by digest.

    `transitions[0]` is the one nearest to the good date; later ones were masked by those before and found under the
    ranges that fix them. `tests` counts the environments in which the cell was run, both ends included; `stopped` means
    that a limit on them, or on time, cut the search short.
    """

    kind: Kind
    then: Resolved
    now: Resolved
    outcomes: Mapping[str, Measured]
    timeline: tuple[Resolved, ...] = ()
    transitions: tuple[Transition, ...] = ()
    turns: tuple[Turn, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    cure: Cure | None = None
    tests: int = 0
    resolutions: int = 0
    stopped: bool = False
