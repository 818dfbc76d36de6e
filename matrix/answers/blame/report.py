"""A blame with what is asked of it next: whose upload it was, on which days, what came to light on the way. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from packaging.version import InvalidVersion, Version

from matrix.answers.blame.questions import Attempt, Blame, Changed, Measured, Ranges, Resolved, Transition
from matrix.table.model import Role

Standing = Literal["good", "bad", "unknown"]


@dataclass(frozen=True)
class Story:
    """What is told of one cell. `role` and `row` say which environment moved in time. `uploaded` are upload dates by
    (package, version), as far as they are known; `builds` counts the environments that really had to be built,
    `seconds` is wall time, `cured` the cell that proved the cure, `run` the run in which all of it is stored.
    `withdrawn` are releases in `blame.then` that were yanked or deleted since; an index does not say when."""

    cell: str
    role: Role
    row: str
    blame: Blame
    uploaded: Mapping[tuple[str, str], dt.date]
    builds: int
    seconds: float
    cured: str | None
    run: int
    withdrawn: frozenset[tuple[str, str]] = frozenset()

    def undated(self, transition: Transition) -> tuple[tuple[str, str], ...]:
        """What of the changes may be a withdrawal, so that they can have come on any later day too."""
        if not on_the_first_day(self.blame, transition):
            return ()
        one, other = transition.before.packages, transition.after.packages
        return tuple((name, version) for name, version in sorted(self.withdrawn) if one.get(name) != other.get(name))


def on_the_first_day(blame: Blame, transition: Transition) -> bool:
    """Whether the first end itself is one side of the transition, and the day after it the other: a lock of then keeps
    what was withdrawn since, and no other resolution does."""
    first, second = sorted((transition.before.recipe, transition.after.recipe), key=lambda recipe: recipe.as_of)
    return first == blame.then.recipe and second.as_of - first.as_of == dt.timedelta(days=1)


@dataclass(frozen=True)
class Accused:
    """A package that made a difference: the version that did it (None: that it is not there), the version on the other
    side, and when the former was uploaded, if that is known."""

    package: str
    version: str | None
    instead_of: str | None
    uploaded: dt.date | None

    @property
    def lowered(self) -> bool:
        return self.version is not None and _below(self.version, self.instead_of)


@dataclass(frozen=True)
class Uncovered:
    """A failure that was seen only once `under` had mended the ones before it. `transition` is where it came from, if
    that was looked for; else `against` are the packages of `under`'s environment that were held back next."""

    under: Ranges
    measured: Measured
    transition: Transition | None
    against: tuple[Accused, ...] = ()


def accused(story: Story, transition: Transition) -> tuple[Accused, ...]:
    """The culprits, or, where those could not be decided, all that changed. Of a cell that was mended these are the
    packages that mended it, for the search ran from the good end there too."""
    changes = transition.changes if transition.culprits is None else transition.culprits
    return tuple(_accused(story, change) for change in changes)


def _accused(story: Story, change: Changed) -> Accused:
    version, other = change.after, change.before
    if story.blame.kind == "mended":
        version, other = other, version
    return Accused(change.package, version, other, _uploaded(story, change.package, version))


def _uploaded(story: Story, package: str, version: str | None) -> dt.date | None:
    return None if version is None else story.uploaded.get((package, version))


def days(transition: Transition) -> tuple[dt.date, dt.date]:
    """The last day of which it is known that the cell was good, and the first of which it is known that it was bad; the
    first good and the last bad one where time ran backwards."""
    good, bad = transition.before.recipe.as_of, transition.after.recipe.as_of
    if transition.skipped:
        return good, bad
    # A resolution is dated by the first day on which it is what the resolver answers, and the two are neighbours.
    if good < bad:
        return bad - dt.timedelta(days=1), bad
    return good, good - dt.timedelta(days=1)


def standing(blame: Blame, environment: Resolved) -> Standing | None:
    """None for an environment in which the cell was not run. What has no solution is bad without a run."""
    if not environment.solved:
        return "bad"
    measured = blame.outcomes.get(environment.digest)
    if measured is None:
        return None
    if measured.good is None:
        return "unknown"
    return "good" if measured.good else "bad"


def uncovered(story: Story) -> tuple[Uncovered, ...]:
    """The failures that came to light while mending, in that order."""
    blame = story.blame
    found = dict(_steps(blame))
    traced = {transition.under: transition for transition in blame.transitions[1:]}
    order = [*found, *(under for under in traced if under not in found)]
    # What each was answered with: the ranges under which the next one was seen, or the cure.
    held = [*order[1:], blame.cure.ranges if blame.cure else ()]
    told = []
    for under, then in zip(order, held, strict=False):
        transition = traced.get(under)
        attempt = found.get(under)
        if attempt is None or attempt.measured is None:
            assert transition is not None
            told.append(Uncovered(under, transition.measured, transition))
        else:
            against = () if transition else tuple(_held_back(story, attempt, then))
            told.append(Uncovered(under, attempt.measured, transition, against))
    return tuple(told)


def _steps(blame: Blame) -> Iterator[tuple[Ranges, Attempt]]:
    """Attempts that came to another failure than the one before. They end with the first that is good: what is tried
    after it only makes the cure smaller."""
    start = blame.outcomes.get(blame.now.digest)
    failure = start.failure if start else None
    for attempt in blame.attempts:
        if attempt.measured is None or attempt.measured.good is None:
            continue
        if attempt.measured.good:
            return
        if attempt.measured.failure != failure:
            failure = attempt.measured.failure
            yield attempt.ranges, attempt


def _held_back(story: Story, attempt: Attempt, then: Ranges) -> Iterator[Accused]:
    for package, specifier in then:
        version = attempt.environment.packages.get(package)
        if version is not None and (package, specifier) not in attempt.ranges:
            yield Accused(package, version, None, _uploaded(story, package, version))


def narrowest(blame: Blame) -> tuple[Resolved, Resolved]:
    """The last good and the first bad environment that are known of a cell whose transition was not found."""
    good, bad = blame.then, blame.now
    for environment in blame.timeline:
        match standing(blame, environment):
            case "good":
                good = environment
            case "bad":
                return good, environment
    return good, bad


def ranges_text(ranges: Ranges) -> str:
    """`numpy<2 protobuf<4`."""
    return " ".join(f"{package}{specifier}" for package, specifier in ranges)


def why(story: Story) -> str:
    """One sentence for a rule of the table: who broke it, when and how."""
    transitions = story.blame.transitions
    if not transitions:
        return f"found by blame; it holds {story.row} at what it worked with"
    first = transitions[0]
    reason = first.measured.finding.reason or first.measured.finding.verdict
    if first.culprits is None:
        good, bad = days(first)
        who = f"one or more of {len(first.changes)} packages that" if first.changes else "what"
        return f"{who} changed between {good} and {bad} broke it ({reason})"
    names = " and ".join(f"{a.package} {a.version or 'missing'}" for a in accused(story, first)[:3])
    known = sorted(a.uploaded for a in accused(story, first) if a.uploaded)
    when = f"uploaded {known[-1]}" if known else f"since {days(first)[1]}"
    return f"{names}, {when}, broke it ({reason})"


def _below(version: str, other: str | None) -> bool:
    if other is None:
        return False
    try:
        return Version(version) < Version(other)
    except InvalidVersion:
        return False
