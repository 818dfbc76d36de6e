"""A blame with the facts derived from it: upload dates, days, failures that were masked. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from packaging.version import InvalidVersion, Version

from matrix.answers.blame.types import Attempt, Blame, Changed, Measured, Ranges, Resolved, Transition
from matrix.table.model import Role

Standing = Literal["good", "bad", "unknown"]


@dataclass(frozen=True)
class BlameReport:
    """The report about one cell. `role` and `row` name the environment that moved in time. `uploaded` are known upload
    dates by (package, version); `builds` counts environments that had to be built, `seconds` is wall time, `cured` the
    cell that proved the cure, `run` the run in which everything is stored. `withdrawn` are releases in `blame.then`
    that were yanked or deleted since; the index does not tell when.
    """

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
        """Return the changes that may be withdrawals, and so may have happened on any later day."""
        if not on_the_first_day(self.blame, transition):
            return ()
        one, other = transition.before.packages, transition.after.packages
        return tuple((name, version) for name, version in sorted(self.withdrawn) if one.get(name) != other.get(name))


def on_the_first_day(blame: Blame, transition: Transition) -> bool:
    """Return whether the transition is from the first end to the day after it. Only there a withdrawal shows: a lock of
    then keeps a release that was withdrawn since, other resolutions do not.
    """
    first, second = sorted((transition.before.recipe, transition.after.recipe), key=lambda recipe: recipe.as_of)
    return first == blame.then.recipe and second.as_of - first.as_of == dt.timedelta(days=1)


@dataclass(frozen=True)
class Suspect:
    """A package that made a difference: the version responsible (None: its absence), the version on the other side, and
    the upload date of the former, if known.
    """

    package: str
    version: str | None
    instead_of: str | None
    uploaded: dt.date | None

    @property
    def lowered(self) -> bool:
        return self.version is not None and _below(self.version, self.instead_of)


@dataclass(frozen=True)
class Uncovered:
    """A failure that was masked until `under` fixed the ones before it. `transition` is where it came from, if that was
    searched for; else `against` are the packages in its environment that were capped next.
    """

    under: Ranges
    measured: Measured
    transition: Transition | None
    against: tuple[Suspect, ...] = ()


def suspects(report: BlameReport, transition: Transition) -> tuple[Suspect, ...]:
    """Return the culprits, or all changes if the culprits are unknown. For a mended cell these are the packages that
    mended it, since that search starts from the good end too.
    """
    changes = transition.changes if transition.culprits is None else transition.culprits
    return tuple(_accused(report, change) for change in changes)


def _accused(report: BlameReport, change: Changed) -> Suspect:
    version, other = change.after, change.before
    if report.blame.kind == "mended":
        version, other = other, version
    return Suspect(change.package, version, other, _uploaded(report, change.package, version))


def _uploaded(report: BlameReport, package: str, version: str | None) -> dt.date | None:
    return None if version is None else report.uploaded.get((package, version))


def days(transition: Transition) -> tuple[dt.date, dt.date]:
    """Return the last day known to be good and the first known to be bad; if time ran backwards, the first good and the
    last bad one.
    """
    good, bad = transition.before.recipe.as_of, transition.after.recipe.as_of
    if transition.skipped:
        return good, bad
    # A resolution has the date of the first day on which the resolver chooses it, and the two are consecutive.
    if good < bad:
        return bad - dt.timedelta(days=1), bad
    return good, good - dt.timedelta(days=1)


def standing(blame: Blame, environment: Resolved) -> Standing | None:
    """Return None for an environment in which the cell was not run. One without a solution is bad without a run."""
    if not environment.solved:
        return "bad"
    measured = blame.outcomes.get(environment.digest)
    if measured is None:
        return None
    if measured.good is None:
        return "unknown"
    return "good" if measured.good else "bad"


def uncovered(report: BlameReport) -> tuple[Uncovered, ...]:
    """Return the failures that were masked, in the order in which they were found."""
    blame = report.blame
    found = dict(_steps(blame))
    traced = {transition.under: transition for transition in blame.transitions[1:]}
    order = [*found, *(under for under in traced if under not in found)]
    # The response to each: the ranges under which the next one was seen, or the cure.
    held = [*order[1:], blame.cure.ranges if blame.cure else ()]
    failures = []
    for under, then in zip(order, held, strict=False):
        transition = traced.get(under)
        attempt = found.get(under)
        if attempt is None or attempt.measured is None:
            assert transition is not None
            failures.append(Uncovered(under, transition.measured, transition))
        else:
            against = () if transition else tuple(_held_back(report, attempt, then))
            failures.append(Uncovered(under, attempt.measured, transition, against))
    return tuple(failures)


def _steps(blame: Blame) -> Iterator[tuple[Ranges, Attempt]]:
    """Yield attempts with another failure than the one before, up to the first good one: later attempts only make the
    cure smaller.
    """
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


def _held_back(report: BlameReport, attempt: Attempt, then: Ranges) -> Iterator[Suspect]:
    for package, specifier in then:
        version = attempt.environment.packages.get(package)
        if version is not None and (package, specifier) not in attempt.ranges:
            yield Suspect(package, version, None, _uploaded(report, package, version))


def narrowest(blame: Blame) -> tuple[Resolved, Resolved]:
    """Return the last known good and the first known bad environment of a cell whose transition was not found."""
    good, bad = blame.then, blame.now
    for environment in blame.timeline:
        match standing(blame, environment):
            case "good":
                good = environment
            case "bad":
                return good, environment
    return good, bad


def ranges_text(ranges: Ranges) -> str:
    """Format ranges like `numpy<2 protobuf<4`."""
    return " ".join(f"{package}{specifier}" for package, specifier in ranges)


def why(report: BlameReport) -> str:
    """Return one sentence for a rule of the table: which release broke the cell, when and how."""
    transitions = report.blame.transitions
    if not transitions:
        return f"found by blame; keeps {report.row} at versions that worked"
    first = transitions[0]
    reason = first.measured.finding.reason or first.measured.finding.verdict
    if first.culprits is None:
        good, bad = days(first)
        who = f"one or more of {len(first.changes)} packages that" if first.changes else "what"
        return f"{who} changed between {good} and {bad} broke it ({reason})"
    names = " and ".join(f"{a.package} {a.version or 'missing'}" for a in suspects(report, first)[:3])
    known = sorted(a.uploaded for a in suspects(report, first) if a.uploaded)
    when = f"uploaded {known[-1]}" if known else f"since {days(first)[1]}"
    return f"{names}, {when}, broke it ({reason})"


def _below(version: str, other: str | None) -> bool:
    if other is None:
        return False
    try:
        return Version(version) < Version(other)
    except InvalidVersion:
        return False
