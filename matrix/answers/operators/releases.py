"""The rows of one release of a converter side by side: what they agree on once, the rest with the rows that it holds
for. Pure.

Rows of one release differ in their onnx, and with it in the cases, and in what runs what is converted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from matrix.answers.operators.claims import DISAGREES, Claim, claims
from matrix.answers.operators.summary import Coverage, Status, Support


@dataclass(frozen=True, slots=True)
class Found:
    """One status of a form, the rows in which it has it, and what was counted in each."""

    status: Status
    rows: tuple[str, ...]
    counts: tuple[Support, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """`found` is empty where no row has a case about it; several where rows differ."""

    operator: str
    since: int
    claimed: bool
    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A claim that measurement contradicts, in `rows`; `of` are all that have a case about the form."""

    claim: Claim
    rows: tuple[str, ...]
    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReleaseCoverage:
    """One `release` of a converter, its `package`. `agreeing` counts, over its rows, the measured forms whose claim
    holds; `measured` all."""

    package: str
    release: str
    rows: tuple[str, ...]
    forms: tuple[Form, ...]
    disagreements: tuple[Disagreement, ...]
    measured: int
    agreeing: int


def releases(coverages: Sequence[Coverage]) -> tuple[ReleaseCoverage, ...]:
    """Converters in the order given, of each the oldest release first; rows in the order given."""
    grouped: dict[str, dict[str, list[Coverage]]] = {}
    for coverage in coverages:
        grouped.setdefault(coverage.package, {}).setdefault(coverage.release, []).append(coverage)
    return tuple(
        _release(package, name, of_package[name])
        for package, of_package in grouped.items()
        for name in sorted(of_package, key=_order)
    )


def _release(package: str, name: str, coverages: Sequence[Coverage]) -> ReleaseCoverage:
    by_row = {coverage.converter: claims(coverage) for coverage in coverages}
    by_form: dict[tuple[str, int], dict[str, Claim]] = {}
    for row, of_row in by_row.items():
        for claim in of_row:
            by_form.setdefault((claim.operator, claim.since), {})[row] = claim
    claimed = {
        (operator, since)
        for coverage in coverages
        for operator, versions in coverage.handlers.items()
        for since in versions
    }
    measured = [claim for of_row in by_row.values() for claim in of_row if claim.support is not None]
    return ReleaseCoverage(
        package,
        name,
        tuple(by_row),
        tuple(Form(*form, form in claimed, _found(by_form[form])) for form in sorted(by_form)),
        tuple(item for form in sorted(by_form) for item in _disagreements(by_form[form])),
        len(measured),
        sum(claim.standing not in DISAGREES for claim in measured),
    )


def _found(by_row: Mapping[str, Claim]) -> tuple[Found, ...]:
    found: dict[Status, dict[str, Support]] = {}
    for row, claim in by_row.items():
        if claim.support is not None:
            found.setdefault(claim.support.status, {})[row] = claim.support
    return tuple(Found(status, tuple(rows), tuple(rows.values())) for status, rows in found.items())


def _disagreements(by_row: Mapping[str, Claim]) -> list[Disagreement]:
    """Rows in which the same case shows the same are one disagreement."""
    alike: dict[tuple[str | None, ...], list[tuple[str, Claim]]] = {}
    for row, claim in by_row.items():
        if claim.standing in DISAGREES and claim.proof is not None:
            proof = claim.proof
            key = claim.standing, proof.name, proof.finding.verdict, proof.finding.reason
            alike.setdefault(key, []).append((row, claim))
    of = tuple(row for row, claim in by_row.items() if claim.support is not None)
    return [Disagreement(same[0][1], tuple(row for row, _ in same), of) for same in alike.values()]


def _order(name: str) -> tuple[bool, Version, str]:
    # Told by an environment, which may say anything.
    try:
        return False, Version(name), name
    except InvalidVersion:
        return True, Version("0"), name
