"""Operator coverage as the views show it, and as one JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import TypedDict

from matrix.answers.operators.coverage import UNAVAILABLE, CaseResult, Coverage, Support
from matrix.answers.operators.releases import ReleaseCoverage, releases
from matrix.answers.operators.stored import Unmeasured
from matrix.families import Family
from matrix.outputs.wording.columns import Column, column
from matrix.table.model import Verdict

# Packages and their versions.
Beside = tuple[tuple[Column, str], ...]


def beside(family: Family, versions: Mapping[str, str]) -> Beside:
    """Return the packages that name a row, apart from its converter and onnx; '' for an unknown version."""
    others = (package for package in family.packages if package not in (family.package, family.reads))
    return tuple((column(family, package), versions.get(package, "")) for package in others)


class CaseFinding(TypedDict):
    name: str
    suite: str
    verdict: Verdict
    stage: str | None
    reason: str
    said: str


@dataclass(frozen=True)
class CoverageReport:
    """The coverage of rows, and the rows that could not be measured. `beside` and the elapsed `seconds` are by row."""

    coverages: tuple[Coverage, ...]
    unmeasured: tuple[Unmeasured, ...]
    beside: Mapping[str, Beside]
    seconds: Mapping[str, float]

    def label(self, row: str) -> str:
        """Describe a row: `onnx 1.10.2, TF 2.8.0`."""
        onnx = next((coverage.onnx for coverage in self.coverages if coverage.converter == row), "")
        others = (f"{package.short} {version or '?'}" for package, version in self.beside.get(row, ()))
        return ", ".join((f"onnx {onnx}", *others))


def elsewhere(coverage: Coverage) -> tuple[float, float]:
    """Return the share of passed cases, 0 to 1: counting `not implemented` as passed, as scoreboards do, and not."""
    counted = coverage.counted
    total = counted.total() - counted[UNAVAILABLE]
    if not total:
        return 0.0, 0.0
    return (counted["match"] + counted["unsupported"]) / total, counted["match"] / total


def document(report: CoverageReport) -> dict[str, Any]:
    """Return the report as one JSON object, with every case."""
    return {
        "schema": 1,
        "rows": [_row(coverage, report) for coverage in report.coverages],
        "unmeasured": [
            {"converter": item.converter, **item.finding.document("verdict", "stage", "reason", "said")}
            for item in report.unmeasured
        ],
        "releases": [_release(release) for release in releases(report.coverages)],
    }


def _row(coverage: Coverage, report: CoverageReport) -> dict[str, Any]:
    there, here = elsewhere(coverage)
    return {
        "row": coverage.converter,
        "onnx": coverage.onnx,
        coverage.package: coverage.release,
        **{package.name: version for package, version in report.beside.get(coverage.converter, ())},
        "opset": coverage.opset,
        "seconds": report.seconds.get(coverage.converter),
        "verdicts": dict(coverage.counted),
        "match_share": here,
        "share_with_not_implemented_as_passed": there,
        "cases": [{**case_finding(case), "operators": dict(case.forms)} for case in coverage.cases],
    }


def case_finding(case: CaseResult) -> CaseFinding:
    """Return the finding on one case as JSON-ready data."""
    return {
        "name": case.name,
        "suite": case.suite,
        "verdict": case.finding.verdict,
        "stage": case.finding.stage,
        "reason": case.finding.reason or "",
        "said": case.finding.said,
    }


def _release(release: ReleaseCoverage) -> dict[str, Any]:
    return {
        release.package: release.release,
        "rows": list(release.rows),
        "claims_measured": release.measured,
        "claims_holding": release.agreeing,
        "support": [
            {
                "operator": form.operator,
                "since": form.since,
                "claimed": form.claimed,
                "found": {
                    row: _support_data(support)
                    for found in form.found
                    for row, support in zip(found.rows, found.counts, strict=True)
                },
            }
            for form in release.forms
        ],
        "disagreements": [
            {
                "operator": item.claim.operator,
                "since": item.claim.since,
                "standing": item.claim.standing,
                "proof": item.claim.proof.name if item.claim.proof else None,
                "verdict": item.claim.proof.finding.verdict if item.claim.proof else None,
                "reason": item.claim.proof.finding.reason if item.claim.proof else None,
                "said": item.claim.proof.finding.said if item.claim.proof else None,
                "rows": list(item.rows),
            }
            for item in release.disagreements
        ],
    }


def _support_data(support: Support) -> dict[str, Any]:
    return {"status": support.status, "cases": support.cases, "matching": support.matching}
