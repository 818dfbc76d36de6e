"""Operator coverage: backend test cases judged by operator, and compared with the claims of the converter."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix.answers.operators.cases import UnreadableCoverage
from matrix.answers.operators.coverage import CaseResult, Coverage, Status, Support, Use
from matrix.answers.operators.judging import judge_cases
from matrix.answers.operators.releases import claims, releases
from matrix.families import family_named
from matrix.judging.compare import Tolerances
from matrix.judging.finding import Finding
from matrix.outputs.documents.coverage import CoverageReport, beside
from matrix.outputs.terminal.coverage import markdown

SCHEMAS = {"Abs": [1, 6, 13], "Add": [1, 7], "Bernoulli": [15], "Constant": [1], "Dropout": [1, 12], "If": [1]}
NOT_IMPLEMENTED = {
    "type": "onnx_tf.common.exception.BackendIsNotSupposedToImplementIt",
    "mro": ["builtins.Exception"],
    "message": "If is not implemented.",
    "traceback": "",
}
ODD_INPUT = "Cannot feed value of shape (5,) for Tensor 'x:0', which has shape '(1, 5)'"


def case(name: str, *operators: str, **more: Any) -> dict[str, Any]:
    """A case that ran, with the fields in `more` replaced."""
    return {
        "name": name,
        "suite": "node",
        "opsets": {"ai.onnx": 13},
        "ir_version": 7,
        "operators": dict.fromkeys(operators, 1),
        "uses": [{"operator": operator, "modes": {}, "given": "1"} for operator in operators],
        "stage": "run",
        "done": True,
        "error": None,
        "exit": None,
        "stopped": None,
        "seconds": 0.1,
        "outputs": ["y"],
        "something-newer": 1,
        **more,
    }


def failed(name: str, *operators: str, **error: Any) -> dict[str, Any]:
    text = {"type": "builtins.ValueError", "mro": [], "message": "quite new", "traceback": "", **error}
    return case(name, *operators, stage="convert", done=False, error=text)


def judged(folder: Path, *cases: dict[str, Any], expected: Any = None, actual: Any = None, **more: Any) -> Coverage:
    """Judge these cases. By default the arrays are the same on both sides."""
    same = {f"{number}/y": np.arange(3.0, dtype=np.float32) for number in range(len(cases))}
    content = {
        "schema": 1,
        "onnx": "1.10.2",
        "onnx_tf": "1.10.0",
        "opset": 15,
        "cases": cases,
        "handlers": {"Abs": [1, 6, 13], "If": [1]},
        "schemas": SCHEMAS,
        **more,
    }
    (folder / "cases.json").write_text(json.dumps(content))
    np.savez(folder / "expected.npz", **(same if expected is None else expected))
    np.savez(folder / "actual.npz", **(same if actual is None else actual))
    return read(folder)


def read(folder: Path) -> Coverage:
    return judge_cases("row", folder / "cases.json", folder / "expected.npz", folder / "actual.npz", Tolerances())


def verdicts(coverage: Coverage) -> list[tuple[str, str, str]]:
    return [(item.finding.verdict, item.finding.stage, item.finding.reason) for item in coverage.cases]


def result(operator: str, verdict: str, since: int = 13, name: str = "") -> CaseResult:
    name = name or f"test_{operator.lower()}_{verdict}"
    return CaseResult(
        name, "node", ((operator, since),), (Use(operator),), Finding(verdict, "converter", "compare", "", said="")
    )


def coverage(*cases: CaseResult, row: str = "row", release: str = "1.10.0", **claimed: list[int]) -> Coverage:
    return Coverage(row, "1.10.2", "onnx-tf", release, 15, cases, claimed, SCHEMAS)


def test_numbers_are_judged_with_our_own_tolerances(tmp_path: Path) -> None:
    one = np.ones(3, np.float32)
    found = judged(
        tmp_path,
        case("test_good", "Abs"),
        case("test_near", "Abs"),
        case("test_far", "Abs"),
        case("test_shape", "Abs"),
        case("test_type", "Abs"),
        case("test_missing", "Abs"),
        expected={f"{number}/y": one for number in range(6)},
        actual={
            "0/y": one,
            "1/y": one * np.float32(1.0005),
            "2/y": one * 2,
            "3/y": np.ones((1, 3), np.float32),
            "4/y": np.ones(3, np.float64),
        },
    )
    assert verdicts(found) == [
        ("match", "compare", None),
        ("match", "compare", None),
        ("mismatch", "compare", "values-differ"),
        ("mismatch", "compare", "output-shape"),
        ("mismatch", "compare", "output-dtype"),
        ("mismatch", "compare", "output-count"),
    ]
    assert "2.0" in found.cases[2].finding.said


def test_every_data_set_and_tensor_of_a_case_counts(tmp_path: Path) -> None:
    one = np.ones(3, np.float32)
    expected = {"0/y": one, "0/1:y": one, "1/s[0]": one, "1/s[1]": one}
    found = judged(
        tmp_path, case("test_sets", "Abs"), case("test_sequence", "Abs"), expected=expected,
        actual={**expected, "0/1:y": one * 2, "1/s[1]": one * 2},
    )  # fmt: skip
    assert [item.finding.verdict for item in found.cases] == ["mismatch", "mismatch"]


def test_how_a_case_ended_takes_precedence_over_its_numbers(tmp_path: Path) -> None:
    died = {"done": False, "stage": "run"}
    found = judged(
        tmp_path,
        failed("test_said", "If", **NOT_IMPLEMENTED),
        failed("test_raised", "Abs"),
        case("test_crash", "Abs", exit={"code": None, "signal": 11}, **died),
        case("test_hang", "Abs", exit={"code": None, "signal": 9}, stopped="timeout", **died),
        case("test_large", "Abs", exit={"code": None, "signal": 9}, stopped="memory", **died),
        case("test_crash_after", "Abs", exit={"code": None, "signal": 6}),
        case("test_killed", "Abs", exit={"code": None, "signal": 9}, **died),
        {**failed("test_not_read", "Abs"), "stage": "load"},
        {**failed("test_ragged", "Abs", type="converter.graph.NotATensor"), "stage": "run"},
        {**failed("test_odd_input", "Abs", message=ODD_INPUT), "stage": "run"},
    )
    assert verdicts(found) == [
        ("unsupported", "convert", "op-not-implemented"),
        ("error", "convert", "unrecognised"),
        ("crash", "run", "sigsegv"),
        ("timeout", "run", "time-limit"),
        ("oom", "run", "memory-limit"),
        ("crash", "run", "died-after-result"),
        ("unavailable", "run", "killed-from-outside"),
        ("unavailable", "load", "unrecognised"),
        ("unavailable", "run", "unrecognised"),
        ("unavailable", "run", "input-shape-differs"),
    ]
    assert found.cases[1].finding.said == "ValueError: quite new"


def test_cases_that_cannot_be_compared_are_not_counted(tmp_path: Path) -> None:
    text = np.array(["a"], dtype="U1")
    found = judged(
        tmp_path, case("test_nothing", "Abs"), case("test_text", "Abs"), case("test_good", "Add"),
        expected={"1/y": text, "2/y": np.ones(1)}, actual={"1/y": text, "2/y": np.ones(1)},
    )  # fmt: skip
    assert [item.finding.verdict for item in found.cases] == ["unavailable", "unavailable", "match"]
    assert found.support == {("Add", 7): Support("supported", 1, 1)}


@pytest.mark.parametrize(
    ("operator", "given", "random"),
    [("Bernoulli", "1", True), ("Dropout", "111", True), ("Dropout", "110", False), ("Dropout", "1", False)],
)
def test_random_outputs_neither_match_nor_mismatch(tmp_path: Path, operator: str, given: str, random: bool) -> None:
    drawn = case("test_drawn", operator, uses=[{"operator": operator, "modes": {}, "given": given}])
    one = {"0/y": np.ones(4, np.float32)}
    zero = {"0/y": np.zeros(4, np.float32)}
    assert judged(tmp_path, drawn, expected=one, actual=zero).cases[0].finding.verdict == (
        "unavailable" if random else "mismatch"
    )
    assert judged(tmp_path, drawn, expected=one, actual=one).cases[0].finding.verdict == "match"
    wrong = {"0/y": np.ones(5, np.float32)}
    assert judged(tmp_path, drawn, expected=one, actual=wrong).cases[0].finding.reason == "output-shape"


def test_the_form_of_an_operator_follows_from_the_opset_of_the_file(tmp_path: Path) -> None:
    found = judged(
        tmp_path,
        case("test_old", "Abs", opsets={"ai.onnx": 12}),
        case("test_new", "Abs", "Add"),
        case("test_ml", "ai.onnx.ml.Scaler", opsets={"ai.onnx": 13, "ai.onnx.ml": 2}),
        case("test_unknown", "Nothing"),
        case("test_elsewhere", "some.domain.Abs"),
        schemas={**SCHEMAS, "ai.onnx.ml.Scaler": [1, 3]},
    )
    assert [item.forms for item in found.cases] == [
        (("Abs", 6),),
        (("Abs", 13), ("Add", 7)),
        (("ai.onnx.ml.Scaler", 1),),
        (("Nothing", None),),
        (("some.domain.Abs", None),),
    ]


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        (["match", "match", "unavailable"], "supported"),
        (["match", "mismatch"], "partial"),
        (["mismatch", "unsupported"], "wrong"),
        (["unsupported", "error"], "unsupported"),
        (["error", "crash"], "failing"),
    ],
)
def test_support_summarises_all_cases_about_a_form(seen: list[str], status: Status) -> None:
    found = coverage(*(result("Abs", verdict) for verdict in seen)).support
    assert found == {("Abs", 13): Support(status, len(seen) - seen.count("unavailable"), seen.count("match"))}


def test_a_case_with_several_operators_counts_for_none_of_them() -> None:
    both = replace(result("Abs", "error"), forms=(("Abs", 13), ("Add", 7)))
    wrapped = replace(result("If", "match"), forms=(("Constant", 1), ("If", 1)))
    assert coverage(both, wrapped).support == {("If", 1): Support("supported", 1, 1)}
    alone = result("Constant", "match", 1)
    assert coverage(alone).support == {("Constant", 1): Support("supported", 1, 1)}


def test_claims_against_measurement() -> None:
    found = coverage(
        result("Abs", "match"),
        result("Abs", "error", 6, "test_abs_1"),
        result("Abs", "mismatch", 6, "test_abs_2"),
        result("Abs", "mismatch", 6, "test_abs_3"),
        result("Abs", "match", 6, "test_abs_4"),
        result("Add", "match", 7),
        result("If", "unsupported", 1),
        Abs=[6, 13, 14],
    )
    by_form = {(claim.operator, claim.since): claim for claim in claims(found)}
    assert {form: claim.standing for form, claim in by_form.items() if claim.standing != "not-measured"} == {
        ("Abs", 6): "claimed-fails",
        ("Abs", 13): "claimed-works",
        ("Add", 7): "unclaimed-works",
        ("If", 1): "unclaimed-fails",
    }
    # A claimed form that this onnx does not know is listed too.
    assert by_form["Abs", 14].standing == "not-measured"
    proof = by_form["Abs", 6].proof
    assert proof is not None and proof.name == "test_abs_2"


def test_data_of_schema_1_reads_the_same(tmp_path: Path) -> None:
    old = judged(tmp_path, case("test_a", "Abs"))
    assert (old.package, old.release) == ("onnx-tf", "1.10.0")
    new = judged(tmp_path, case("test_a", "Abs"), schema=2, package="onnx-tf", release="1.10.0", onnx_tf="ignored")
    assert new == old
    kept = new.to_json()
    former = {**kept, "schema": 1, "onnx_tf": kept["release"]}
    del former["package"], former["release"]
    assert Coverage.from_json(former) == Coverage.from_json(kept) == new


def test_releases_of_two_converters_are_kept_apart() -> None:
    rows = [coverage(row="one"), replace(coverage(row="two"), package="second"), coverage(row="three")]
    found = [(release.package, release.release, release.rows) for release in releases(rows)]
    assert found == [("onnx-tf", "1.10.0", ("one", "three")), ("second", "1.10.0", ("two",))]


def test_rows_of_a_release_are_merged_where_they_agree() -> None:
    one = coverage(result("Abs", "match"), result("Add", "error", 7), row="one", Abs=[13], Add=[7])
    two = coverage(result("Abs", "error"), result("Add", "error", 7), row="two", Abs=[13], Add=[7])
    old = coverage(result("Abs", "match"), row="old", release="1.9.0", Abs=[13])
    found = releases([one, two, old])
    assert [(release.release, release.rows) for release in found] == [("1.9.0", ("old",)), ("1.10.0", ("one", "two"))]
    forms = {form.operator: form for form in found[1].forms if form.found}
    assert [(item.status, item.rows) for item in forms["Abs"].found] == [("supported", ("one",)), ("failing", ("two",))]
    assert [(item.status, item.rows) for item in forms["Add"].found] == [("failing", ("one", "two"))]
    assert [(item.claim.operator, item.rows) for item in found[1].disagreements] == [
        ("Abs", ("two",)),
        ("Add", ("one", "two")),
    ]
    assert all(item.of == ("one", "two") for item in found[1].disagreements)
    assert (found[1].agreeing, found[1].measured) == (1, 4)


def test_coverage_survives_json(tmp_path: Path) -> None:
    found = judged(tmp_path, case("test_a", "Abs", "Nothing"), failed("test_b", "If", **NOT_IMPLEMENTED))
    again = Coverage.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert again.support == found.support


def test_twenty_rows_are_read_quickly() -> None:
    cases = tuple(replace(result("Abs", "match"), name=f"test_{number}") for number in range(2000))
    text = json.dumps(coverage(*cases, Abs=[13]).to_json())
    began = time.perf_counter()
    for _ in range(20):
        Coverage.from_json(json.loads(text))
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("cases.json", b"{}", "cases.json: schema: Field required"),
        ("cases.json", b"\x00[", "cases.json: Invalid JSON"),
        ("cases.json", b'{"schema": 3}', "cases.json: schema"),
        ("expected.npz", b"nothing", "expected.npz"),
        ("actual.npz", b"", "actual.npz"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, file: str, content: bytes, said: str) -> None:
    judged(tmp_path, case("test_a", "Abs"))
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UnreadableCoverage, match=said):
        read(tmp_path)


def test_no_pickle_is_opened(tmp_path: Path) -> None:
    judged(tmp_path, case("test_a", "Abs"))
    pickled: Any = {"0/y": np.array([{}], dtype=object)}
    np.savez(tmp_path / "actual.npz", **pickled)
    with pytest.raises(UnreadableCoverage, match=r"actual\.npz"):
        read(tmp_path)


def test_a_page_names_the_rows_that_differ_from_most() -> None:
    rows = [
        replace(coverage(result("Abs", verdict), row=name, Abs=[13]), onnx=onnx)
        for name, onnx, verdict in (("a", "1.1", "match"), ("b", "1.2", "match"), ("c", "1.3", "error"))
    ]
    others = {
        name: beside(family_named("onnx-tf"), {"tensorflow": version})
        for name, version in (("a", "2.1"), ("b", "2.2"), ("c", "2.3"))
    }
    report = CoverageReport(tuple(rows), (), others, {"a": 61.4})
    page = markdown(report)
    assert "| Abs | 13 |  |  |  | 13 [onnx 1.3, TF 2.3] |" in page
    assert "| Abs | 13 | claimed, fails | 0 of 1 | test_abs_error | error |  |  | onnx 1.3, TF 2.3 |" in page
    assert "| a | 1 | 1 |  |  |  |  |  |  |  | 100.0% | 100.0% | 61 |" in page
    two = CoverageReport(tuple(rows[1:]), (), others, {})
    assert "| Abs | 13 [onnx 1.2, TF 2.2] |  |  |  | 13 [onnx 1.3, TF 2.3] |" in markdown(two)
    failing = [replace(row, cases=(result("Abs", "error"),)) for row in rows[:2]]
    most = CoverageReport((*failing, replace(rows[2], cases=(result("Abs", "match"),))), (), others, {})
    assert "| all but onnx 1.3, TF 2.3 |" in markdown(most)
