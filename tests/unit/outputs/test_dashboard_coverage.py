"""Operator coverage as shards."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter

from matrix.answers.operators.coverage import CaseResult, Coverage
from matrix.answers.operators.stored import Unmeasured
from matrix.families import family_named
from matrix.judging.finding import Finding
from matrix.outputs.dashboard.coverages import write_coverages
from matrix.outputs.dashboard.schema import CoverageOfRow, CoverageSummary
from matrix.outputs.dashboard.shards import Shards
from matrix.outputs.documents.coverage import beside


def case(name: str, operator: str, since: int, verdict: str) -> CaseResult:
    return CaseResult(name, "node", ((operator, since),), (), Finding(verdict, "converter", "compare", "", said=""))


def test_operators_are_counted_over_all_their_forms(tmp_path: Path) -> None:
    cases = (
        case("a", "Conv", 1, "match"),
        case("b", "Conv", 11, "unsupported"),
        case("c", "Relu", 6, "mismatch"),
        case("d", "Relu", 6, "error"),
        case("e", "Mean", 6, "unavailable"),
    )
    coverage = Coverage("row", "1.10.2", "onnx-tf", "1.10.0", 15, cases, {}, {})
    gone = Unmeasured("other", Finding("error", "converter", "build", "unrecognised", said="x"))
    others = {"row": beside(family_named("onnx-tf"), {"tensorflow": "2.8.0"})}
    found = write_coverages([coverage], [gone], others, Shards(tmp_path), lambda value: json.loads(json.dumps(value)))
    assert json.loads((tmp_path / "coverage.json").read_text()) == found
    (row,) = found["rows"]
    assert [row[key] for key in ("cases", "match", "unsupported", "wrong", "other")] == [4, 1, 1, 1, 1]
    assert (row["onnx-tf"], row["onnx"], row["tensorflow"]) == ("1.10.0", "1.10.2", "2.8.0")
    assert row["label"] == ["onnx-tf 1.10.0", "onnx 1.10.2", "TF 2.8.0"]
    assert (row["share"], row["share_with_not_implemented_as_passed"]) == (0.25, 0.5)
    assert found["operators"] == [
        {"operator": "Conv", "found": {"row": ["partial", 1, 2]}},
        {"operator": "Relu", "found": {"row": ["wrong", 0, 2]}},
    ]
    TypeAdapter(CoverageSummary).validate_python(found)
    listed = TypeAdapter(CoverageOfRow).validate_json((tmp_path / f"{row['shard']}.json").read_text())
    assert [(item["name"], item["operators"]) for item in listed["cases"]][:1] == [("a", ["Conv"])]
