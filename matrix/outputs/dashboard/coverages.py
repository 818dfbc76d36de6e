"""Operator coverage of every row that was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matrix.answers.operators.coverage import CaseResult, Coverage, support_of
from matrix.answers.operators.stored import Unmeasured
from matrix.outputs.dashboard.shards import SCHEMA, Shards, slug
from matrix.outputs.documents.coverage import Beside, CoverageReport, elsewhere
from matrix.outputs.documents.coverage import document as coverage_document


def write_coverages(
    coverages: Sequence[Coverage],
    unmeasured: Sequence[Unmeasured],
    beside: Mapping[str, Beside],
    shards: Shards,
    clean: Callable[[Any], Any],
) -> dict[str, Any]:
    """Writes a shard for every row, and one of all, which is returned. Rows in the order given."""
    cases = {
        row["row"]: row["cases"] for row in coverage_document(CoverageReport(tuple(coverages), (), beside, {}))["rows"]
    }
    rows = []
    for coverage in coverages:
        shard = f"coverage/{slug(coverage.converter)}"
        listed = [
            {**case, "operators": [name for name, _ in case["operators"].items()]} for case in cases[coverage.converter]
        ]
        shards.write(shard, clean({"schema": SCHEMA, "row": coverage.converter, "cases": listed}))
        rows.append(_row(coverage, beside.get(coverage.converter, ()), shard))
    found: dict[str, Any] = clean(
        {
            "schema": SCHEMA,
            "rows": rows,
            "operators": _operators(coverages),
            "unmeasured": [
                {
                    "row": item.converter,
                    **item.finding.document("verdict", "stage", "reason"),
                }
                for item in unmeasured
            ],
        }
    )
    shards.write("coverage", found)
    return found


def _row(coverage: Coverage, beside: Beside, shard: str) -> dict[str, Any]:
    counted = coverage.counted
    there, here = elsewhere(coverage)
    cases = sum(case.counts for case in coverage.cases)
    known = counted["match"] + counted["unsupported"] + counted["mismatch"]
    return {
        "row": coverage.converter,
        coverage.package: coverage.release,
        "onnx": coverage.onnx,
        **{package.name: version for package, version in beside},
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


def _operators(coverages: Sequence[Coverage]) -> list[dict[str, Any]]:
    """By operator, of all its forms together."""
    found: dict[str, dict[str, list[Any]]] = {}
    for coverage in coverages:
        cases: dict[str, list[CaseResult]] = {}
        for (operator, _), about in coverage.about.items():
            cases.setdefault(operator, []).extend(about)
        for operator, listed in cases.items():
            support = support_of(listed)
            found.setdefault(operator, {})[coverage.converter] = [support.status, support.matching, support.cases]
    return [{"operator": operator, "found": found[operator]} for operator in sorted(found)]
