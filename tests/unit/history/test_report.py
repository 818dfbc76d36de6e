"""The expectations of matrix.yml, compared with what a run found."""

from __future__ import annotations

import pytest

from matrix.history.report import Expectations
from matrix.judging.finding import Finding
from matrix.judging.judge import Judgement
from matrix.table import Expectation
from matrix.table.model import Verdict

SUBJECT = {"model": "net", "exporter": "torch-1.2.0", "opset": "9", "converter": "old"}
EXACT = Expectation(
    cells={"converter": "old"}, verdict="error", role="converter", stage="check", reason="ir-version-too-new"
)
AS_EXPECTED = Judgement(Finding("error", "converter", "check", "ir-version-too-new"))


def complaints(expectation: Expectation, judgement: Judgement, written: int | None = 9) -> tuple[str, ...]:
    return Expectations.of([expectation]).complaints(SUBJECT, judgement, written)


def test_as_expected() -> None:
    assert complaints(EXACT, AS_EXPECTED) == ()


@pytest.mark.parametrize(
    ("judgement", "said"),
    [
        (Judgement(Finding("match")), "expected verdict error, got match"),
        (
            Judgement(Finding("error", "exporter", "check", "ir-version-too-new")),
            "expected role converter, got exporter",
        ),
        (Judgement(Finding("error", "converter", "load", "ir-version-too-new")), "expected stage check, got load"),
        (Judgement(Finding("error", "converter", "check", "x")), "expected reason ir-version-too-new, got x"),
        (Judgement(Finding("error", "converter", "check")), "expected reason ir-version-too-new, got none"),
    ],
)
def test_each_difference_is_said(judgement: Judgement, said: str) -> None:
    assert said in complaints(EXACT, judgement)


@pytest.mark.parametrize("verdict", ["infra", "unavailable"])
def test_what_says_nothing_disagrees_with_nothing(verdict: Verdict) -> None:
    assert complaints(EXACT, Judgement(Finding(verdict))) == ()


def test_what_is_not_stated_is_not_expected() -> None:
    assert complaints(Expectation(cells={"converter": "old"}, verdict="error"), AS_EXPECTED, None) == ()
    assert complaints(Expectation(cells={"converter": "new"}, verdict="match"), AS_EXPECTED) == ()


def test_opset_and_size_of_the_difference() -> None:
    stated = Expectation(cells={}, verdict="match", opset_written=18, max_abs=1e-6)
    small_difference = Judgement(Finding("match"), metrics={"max_abs": 1e-6})
    assert complaints(stated, small_difference, 18) == ()
    assert complaints(stated, small_difference, 9) == ("expected opset written 18, got 9",)
    for measured in (2e-6, "inf", None):
        (said,) = complaints(stated, Judgement(Finding("match"), metrics={"max_abs": measured}), 18)
        assert "max abs at most 1e-06" in said
    assert complaints(stated, Judgement(Finding("match")), 18) == ("expected max abs at most 1e-06, got None",)


def test_where_several_speak_all_must_hold_and_a_complaint_is_made_once() -> None:
    rules = Expectations.of([EXACT, EXACT, Expectation(cells={"opset": "9"}, verdict="match")])
    assert rules.complaints(SUBJECT, AS_EXPECTED, 9) == ("expected verdict match, got error",)
    said = rules.complaints(SUBJECT, Judgement(Finding("crash")), 9)
    assert len(said) == len(set(said)) == 5


def test_whether_the_table_states_anything() -> None:
    rules = Expectations.of([EXACT])
    assert rules.speak_of(SUBJECT) and not rules.speak_of({**SUBJECT, "converter": "new"})
