"""The operator coverage of every row that was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from matrix.answers.operators.coverage import CaseResult, Coverage, support_of
from matrix.answers.operators.stored import Unmeasured
from matrix.outputs.dashboard.schema import (
    SCHEMA,
    CoverageOfRow,
    CoverageRow,
    CoverageSummary,
    Operator,
    Rated,
    UnmeasuredRow,
)
from matrix.outputs.dashboard.shards import Shards, slug
from matrix.outputs.documents.coverage import Beside, case_finding, elsewhere


def write_coverages(
    coverages: Sequence[Coverage],
    unmeasured: Sequence[Unmeasured],
    beside: Mapping[str, Beside],
    shards: Shards,
    clean: Callable[[Any], Any],
) -> CoverageSummary:
    """Write a shard for every row, in the order given, and one for all, which is returned."""
    rows = []
    for coverage in coverages:
        shard = f"coverage/{slug(coverage.converter)}"
        cases: CoverageOfRow = {
            "schema": SCHEMA,
            "row": coverage.converter,
            "cases": [{**case_finding(case), "operators": list(dict(case.forms))} for case in coverage.cases],
        }
        shards.write(shard, clean(cases))
        rows.append(_row(coverage, beside.get(coverage.converter, ()), shard))
    lacking: list[UnmeasuredRow] = [
        {
            "row": item.converter,
            "verdict": item.finding.verdict,
            "stage": item.finding.stage,
            "reason": item.finding.reason,
        }
        for item in unmeasured
    ]
    summary: CoverageSummary = clean(
        CoverageSummary(schema=SCHEMA, rows=rows, operators=_operators(coverages), unmeasured=lacking)
    )
    shards.write("coverage", summary)
    return summary


def _row(coverage: Coverage, beside: Beside, shard: str) -> CoverageRow:
    counted = coverage.counted
    there, here = elsewhere(coverage)
    cases = sum(case.counts for case in coverage.cases)
    known = counted["match"] + counted["unsupported"] + counted["mismatch"]
    versions = {coverage.package: coverage.release} | {package.name: version for package, version in beside}
    row: CoverageRow = {
        "row": coverage.converter,
        "onnx": coverage.onnx,
        "label": [
            f"{coverage.package} {coverage.release}",
            f"onnx {coverage.onnx}",
            *(f"{package.short} {version or '?'}" for package, version in beside),
        ],
        "cases": cases,
        "match": counted["match"],
        "unsupported": counted["unsupported"],
        "wrong": counted["mismatch"],
        "other": cases - known,
        "share": round(here, 4),
        "share_with_not_implemented_as_passed": round(there, 4),
        "shard": shard,
    }
    return cast(CoverageRow, {**versions, **row})


def _operators(coverages: Sequence[Coverage]) -> list[Operator]:
    """Return the support of each operator, all its forms together."""
    found: dict[str, dict[str, Rated]] = {}
    for coverage in coverages:
        cases: dict[str, list[CaseResult]] = {}
        for (operator, _), about in coverage.about.items():
            cases.setdefault(operator, []).extend(about)
        for operator, listed in cases.items():
            support = support_of(listed)
            found.setdefault(operator, {})[coverage.converter] = (support.status, support.matching, support.cases)
    return [{"operator": operator, "found": found[operator]} for operator in sorted(found)]
