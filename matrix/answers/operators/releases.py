"""The claims of converter releases compared with measured coverage. Pure.

Rows of one release differ in their onnx, and so in their test cases, and in what runs the converted model. What they
agree on is stated once, the rest with the rows it holds for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.version import InvalidVersion, Version

from matrix.answers.operators.coverage import CaseResult, Coverage, History, Status, Support

ClaimStanding = Literal["claimed-works", "claimed-fails", "unclaimed-works", "unclaimed-fails", "not-measured"]

_DISAGREES: tuple[ClaimStanding, ...] = ("claimed-fails", "unclaimed-works")


@dataclass(frozen=True, slots=True)
class Claim:
    """One form of an operator. A claim fails if any case about the form fails; an unclaimed form works if any case
    matches. `proof` is a case that shows it, None if no case is about this form."""

    operator: str
    since: int
    standing: ClaimStanding
    support: Support | None
    proof: CaseResult | None


@dataclass(frozen=True, slots=True)
class Found:
    """One status of a form, the rows with this status, and the counts of each row."""

    status: Status
    rows: tuple[str, ...]
    counts: tuple[Support, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """`found` is empty if no row has a case about the form, and has several items if rows differ."""

    operator: str
    since: int
    claimed: bool
    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A claim that measurement contradicts in `rows`; `of` are all rows with a case about the form."""

    claim: Claim
    rows: tuple[str, ...]
    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReleaseCoverage:
    """One `release` of a converter's `package`. `measured` counts the forms with a case over all its rows, `agreeing`
    those of them whose claim holds."""

    package: str
    release: str
    rows: tuple[str, ...]
    forms: tuple[Form, ...]
    disagreements: tuple[Disagreement, ...]
    measured: int
    agreeing: int


def claims(coverage: Coverage) -> tuple[Claim, ...]:
    """Compare every form that the row's onnx knows or its converter claims, by operator and form."""
    claimed = _forms(coverage.handlers)
    forms = sorted(_forms(coverage.schemas) | claimed | coverage.support.keys())
    return tuple(_claim(form, form in claimed, coverage) for form in forms)


def _forms(history: History) -> set[tuple[str, int]]:
    return {(operator, since) for operator, forms in history.items() for since in forms}


def _claim(form: tuple[str, int], claimed: bool, coverage: Coverage) -> Claim:
    cases = coverage.about.get(form)
    if cases is None:
        return Claim(*form, "not-measured", None, None)
    ways = Counter((case.finding.verdict, case.finding.reason) for case in cases)
    matching = next((case for case in cases if case.finding.good), None)
    # The first case that fails in the commonest way.
    failing = max(
        (case for case in cases if not case.finding.good),
        key=lambda case: ways[case.finding.verdict, case.finding.reason],
        default=None,
    )
    standing: ClaimStanding
    if claimed:
        standing, proof = ("claimed-fails", failing) if failing else ("claimed-works", matching)
    else:
        standing, proof = ("unclaimed-works", matching) if matching else ("unclaimed-fails", failing)
    return Claim(*form, standing, coverage.support[form], proof)


def releases(coverages: Sequence[Coverage]) -> tuple[ReleaseCoverage, ...]:
    """Group coverage by release: converters in the order given, their oldest release first, rows in the order given."""
    grouped: dict[str, dict[str, list[Coverage]]] = {}
    for coverage in coverages:
        grouped.setdefault(coverage.package, {}).setdefault(coverage.release, []).append(coverage)
    return tuple(
        _release(package, name, of_package[name])
        for package, of_package in grouped.items()
        for name in sorted(of_package, key=_order)
    )


def _release(package: str, name: str, coverages: Sequence[Coverage]) -> ReleaseCoverage:
    by_form: dict[tuple[str, int], dict[str, Claim]] = {}
    for coverage in coverages:
        for claim in claims(coverage):
            by_form.setdefault((claim.operator, claim.since), {})[coverage.converter] = claim
    claimed = set[tuple[str, int]]().union(*(_forms(coverage.handlers) for coverage in coverages))
    measured = [claim for by_row in by_form.values() for claim in by_row.values() if claim.support is not None]
    return ReleaseCoverage(
        package,
        name,
        tuple(coverage.converter for coverage in coverages),
        tuple(Form(*form, form in claimed, _found(by_form[form])) for form in sorted(by_form)),
        tuple(item for form in sorted(by_form) for item in _disagreements(by_form[form])),
        len(measured),
        sum(claim.standing not in _DISAGREES for claim in measured),
    )


def _found(by_row: Mapping[str, Claim]) -> tuple[Found, ...]:
    found: dict[Status, dict[str, Support]] = {}
    for row, claim in by_row.items():
        if claim.support is not None:
            found.setdefault(claim.support.status, {})[row] = claim.support
    return tuple(Found(status, tuple(rows), tuple(rows.values())) for status, rows in found.items())


def _disagreements(by_row: Mapping[str, Claim]) -> list[Disagreement]:
    """Merge rows in which the same case shows the same into one disagreement."""
    alike: dict[tuple[str | None, ...], list[tuple[str, Claim]]] = {}
    for row, claim in by_row.items():
        if claim.standing in _DISAGREES and (proof := claim.proof) is not None:
            key = claim.standing, proof.name, proof.finding.verdict, proof.finding.reason
            alike.setdefault(key, []).append((row, claim))
    of = tuple(row for row, claim in by_row.items() if claim.support is not None)
    return [Disagreement(same[0][1], tuple(row for row, _ in same), of) for same in alike.values()]


def _order(name: str) -> tuple[bool, Version, str]:
    # The environment reported the release: it may be any text.
    try:
        return False, Version(name), name
    except InvalidVersion:
        return True, Version("0"), name
