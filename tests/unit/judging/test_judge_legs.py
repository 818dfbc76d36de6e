"""The legs from torch, or from given outputs, to TensorFlow Lite: which exist, and which role a mismatch blames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from fakes import GOOD
from small import observation, passed, raised, report

from matrix.families.onnx_tf import OnnxTf
from matrix.judging import judge as judging
from matrix.judging.judge import Judgement, Leg, judge
from matrix.judging.outcome import outcome
from matrix.store import Observation


def export(written: int | None = 9, **files: str) -> Observation:
    left = files or {"torch.npz": "torch", "torch-again.npz": "torch2"}
    facts = {"opset_written": written}
    return observation(
        "export", passed("export", report(*GOOD["export"], facts=facts), files={"model.onnx": "m", **left})
    )


def inspection(written: int = 9, **files: str) -> Observation:
    made = passed(
        "inspect", report(*GOOD["inspect"], facts={"opset_written": written}), files={"model.onnx": "m", **files}
    )
    return replace(observation("reference", made), kind="inspect")


def alteration(written: int) -> Observation:
    made = passed("alter", report(*GOOD["alter"], facts={"opset_written": written}), files={"model.onnx": "a"})
    return replace(observation("reference", made), kind="alter")


REFERENCE = observation(
    "reference",
    passed("reference", report(*GOOD["reference"]), files={"reference.npz": "ort", "again.npz": "ort2"}),
)
REFUSED = observation("reference", passed("reference", report("import", "load", error=raised("opset 6"))))
BROKEN = observation("reference", passed("reference", report("import", "load", done=False), stopped="timeout"))


def convert(tflite: bool = False) -> Observation:
    passes = [
        passed("convert", report(*GOOD["convert"]), files={"memory.npz": "memory"}),
        passed("reload", report(*GOOD["reload"]), files={"reloaded.npz": "reloaded"}),
    ]
    if tflite:
        passes.append(passed("tflite", report(*GOOD["tflite"]), files={"tflite.npz": "lite"}))
    return observation("convert", *passes)


WRONG = Leg("values-differ", "by much", {"max_abs": 9.0}, where="2/y")
NAMED = {
    ("torch", "torch2"): judging.SOURCE_REPEAT,
    ("ort", "ort2"): judging.REPEAT,
    ("torch", "ort"): judging.EXPORTER_LEG,
    ("given", "ort"): judging.GIVEN_LEG,
    ("ort", "memory"): "onnxruntime-tensorflow",
    ("torch", "memory"): "torch-tensorflow",
    ("given", "memory"): "given-tensorflow",
    ("memory", "reloaded"): "memory-reloaded",
    ("reloaded", "lite"): "reloaded-tflite",
    ("before", "ort"): judging.ALTERED_LEG,
}
# Names of tensors agree but where one side is not an ONNX file's.
BY_POSITION = {"torch", "given", "before"}


def judged(
    source: Observation | None,
    reference: Observation | None = REFERENCE,
    converted: Observation | None = None,
    legs: Mapping[str, Leg] | None = None,
    altered: tuple[Observation, ...] = (),
    opset: int = 9,
    original: Observation | None = None,
) -> Judgement:
    def compare(one: str, two: str, by_position: bool, shared: bool) -> Leg:
        assert by_position is (one in BY_POSITION and two != "torch2")
        name = NAMED[one, two]
        return (legs or {}).get(name, Leg(None, "", {"max_abs": float(len(name))}))

    def speak(item: Observation) -> Any:
        return outcome(item, "")

    return judge(opset, source, reference, converted or convert(), speak, compare, OnnxTf().scheme, altered, original)


PLAIN = [judging.EXPORTER_LEG, "onnxruntime-tensorflow", "memory-reloaded"]


def test_the_legs_of_a_factorys_model() -> None:
    found = judged(export())
    assert (found.finding.verdict, list(found.legs), found.remarks) == ("match", PLAIN, ())
    assert found.metrics == found.legs["onnxruntime-tensorflow"]


def test_the_legs_of_a_file() -> None:
    assert list(judged(inspection()).legs) == PLAIN[1:]
    assert list(judged(inspection(**{"given.npz": "given"})).legs) == [judging.GIVEN_LEG, *PLAIN[1:]]
    assert judged(inspection(17)).remarks == ()  # no opset was asked for
    assert judging.OPSET_NOT_AS_ASKED in judged(export(17)).remarks


# --- without ONNX Runtime --------------------------------------------------------------------------------------------


def test_before_opset_7_the_leg_is_absent_and_the_cell_says_so() -> None:
    found = judged(export(6), REFUSED, opset=6)
    assert (found.finding.verdict, list(found.legs)) == ("match", ["torch-tensorflow", "memory-reloaded"])
    assert found.remarks == (judging.REFERENCE_ABSENT,)
    assert found.metrics == found.legs["torch-tensorflow"]


def test_a_wrong_conversion_without_onnx_runtime_is_still_caught() -> None:
    found = judged(export(6), REFUSED, opset=6, legs={"torch-tensorflow": WRONG})
    assert (found.finding.verdict, found.finding.role, found.leg) == ("mismatch", "converter", "torch-tensorflow")


@pytest.mark.parametrize("written", [7, 9, None])
def test_from_opset_7_on_a_file_that_onnx_runtime_rejects_is_a_doubtful_one(written: int | None) -> None:
    found = judged(export(written), REFUSED)
    assert (found.finding.verdict, found.finding.role, found.legs) == ("unavailable", "reference", {})
    assert "there is no reference to compare with" in found.finding.title


def test_what_the_user_says_is_right_stands_in_for_any_opset() -> None:
    found = judged(inspection(13, **{"given.npz": "given"}), REFUSED)
    assert (found.finding.verdict, list(found.legs)) == ("match", ["given-tensorflow", "memory-reloaded"])
    assert judging.REFERENCE_ABSENT in found.remarks
    wrong = judged(inspection(13, **{"given.npz": "given"}), REFUSED, legs={"given-tensorflow": WRONG})
    assert (wrong.finding.verdict, wrong.leg) == ("mismatch", "given-tensorflow")


def test_a_file_alone_has_nothing_else_to_be_held_against() -> None:
    assert judged(inspection(6), REFUSED).finding.verdict == "unavailable"


def test_the_opset_that_counts_is_that_of_the_file_that_was_converted() -> None:
    assert judged(export(9), REFUSED, altered=(alteration(6),)).finding.verdict == "match"
    assert judged(export(6), REFUSED, altered=(alteration(9),), opset=6).finding.verdict == "unavailable"


@pytest.mark.parametrize("opset", [6, 9])
def test_a_reference_that_says_nothing_is_not_absent(opset: int) -> None:
    """A full disk does not make the reference dispensable."""
    lost = replace(REFERENCE, passes=())
    assert judged(export(opset), lost, opset=opset).finding.verdict == "infra"


# --- what is not repeatable ------------------------------------------------------------------------------------------


def test_a_model_that_does_not_repeat_itself_is_not_judged() -> None:
    found = judged(export(), legs={judging.SOURCE_REPEAT: WRONG})
    assert found.finding.kind == (
        "unavailable",
        "exporter",
        "forward",
        "not-deterministic",
    )
    assert "dropout" in found.finding.title and found.legs == {judging.SOURCE_REPEAT: WRONG.metrics}


def test_nor_where_the_conversion_failed() -> None:
    failed = observation("convert", passed("convert", report("import", "load", error=raised("no"))))
    assert judged(export(), converted=failed).finding.verdict == "error"
    assert judged(export(), converted=failed, legs={judging.SOURCE_REPEAT: WRONG}).finding.reason == "not-deterministic"


def test_an_export_that_was_run_once_is_judged() -> None:
    assert judged(export(**{"torch.npz": "torch"})).finding.verdict == "match"
    unreadable = Leg(judging.ARRAYS_UNREADABLE, "", {})
    assert judged(export(), legs={judging.SOURCE_REPEAT: unreadable}).finding.verdict == "match"


# --- who is to blame -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "leg", "role"),
    [
        (export(), judging.EXPORTER_LEG, "exporter"),
        (inspection(**{"given.npz": "given"}), judging.GIVEN_LEG, "reference"),
        (export(), "onnxruntime-tensorflow", "converter"),
        (export(), "memory-reloaded", "converter"),
        (export(), "reloaded-tflite", "converter"),
    ],
)
def test_the_leg_that_breaks_names_who_broke_it(source: Observation, leg: str, role: str) -> None:
    found = judged(source, converted=convert(tflite=True), legs={leg: WRONG})
    assert (found.finding.verdict, found.leg, found.finding.role, found.worst) == ("mismatch", leg, role, "2/y")
    assert found.metrics == WRONG.metrics and len(found.legs) == 4


def test_of_several_the_first_on_the_way_counts() -> None:
    found = judged(export(), converted=convert(True), legs={"reloaded-tflite": WRONG, "onnxruntime-tensorflow": WRONG})
    assert found.leg == "onnxruntime-tensorflow"


# --- TensorFlow Lite -------------------------------------------------------------------------------------------------


def test_tensorflow_lite_is_held_against_the_saved_model() -> None:
    assert list(judged(export(), converted=convert(tflite=True)).legs) == [*PLAIN, "reloaded-tflite"]
    assert list(judged(export()).legs) == PLAIN


def test_tensorflow_lite_that_left_no_numbers_is_no_match() -> None:
    whole = convert(tflite=True)
    lost = replace(whole, passes=(*whole.passes[:2], replace(whole.passes[2], files={})))
    found = judged(export(), converted=lost)
    assert (found.finding.verdict, found.finding.reason) == (
        "infra",
        judging.ARRAYS_MISSING,
    ) and "tflite.npz" in found.finding.title


def test_what_tensorflow_lite_cannot_do_is_said_with_its_stage() -> None:
    whole = convert()
    failed = replace(whole, passes=(*whole.passes, passed("tflite", report("tflite", error=raised("some op")))))
    found = judged(export(), converted=failed)
    assert (found.finding.verdict, found.finding.role, found.finding.stage) == ("error", "converter", "tflite")


# --- changes to the file ---------------------------------------------------------------------------------------------


def test_a_change_that_fails_is_what_the_cell_says() -> None:
    failed = replace(
        observation("reference", passed("alter", report("load", "alter", error=raised("no")))), kind="alter"
    )
    found = judged(export(), altered=(alteration(9), failed))
    assert (found.finding.verdict, found.finding.role, found.finding.stage) == ("error", "reference", "alter")


@pytest.mark.parametrize("name", ["torch.npz", "reference.npz", "memory.npz", "reloaded.npz"])
def test_missing_numbers_blame_no_role(name: str) -> None:
    def without(item: Observation) -> Observation:
        passes = [replace(p, files={k: v for k, v in p.files.items() if k != name}) for p in item.passes]
        return replace(item, passes=tuple(passes))

    found = judged(without(export()), without(REFERENCE), without(convert()))
    assert (found.finding.verdict, found.finding.reason) == (
        "infra",
        judging.ARRAYS_MISSING,
    ) and name in found.finding.title


# What ONNX Runtime made of a file before it was changed.
BEFORE = observation("reference", passed("reference", report(*GOOD["reference"]), files={"reference.npz": "before"}))


def test_a_changed_file_is_held_against_what_it_computed_before() -> None:
    found = judged(inspection(), altered=(alteration(8),), original=BEFORE)
    assert (found.finding.verdict, list(found.legs)) == ("match", [judging.ALTERED_LEG, *PLAIN[1:]])
    assert found.metrics == found.legs["onnxruntime-tensorflow"]


def test_a_change_after_which_other_numbers_come_out_is_no_remedy() -> None:
    found = judged(inspection(), altered=(alteration(8),), original=BEFORE, legs={judging.ALTERED_LEG: WRONG})
    assert (found.finding.verdict, found.finding.role, found.finding.stage, found.leg) == (
        "mismatch",
        "reference",
        "compare",
        judging.ALTERED_LEG,
    )
    assert "the change is not a remedy" in found.finding.title and found.worst == "2/y"


def test_without_what_it_computed_before_a_changed_file_is_not_judged() -> None:
    never = judged(inspection(), altered=(alteration(8),))
    assert (never.finding.verdict, never.finding.role, never.finding.reason) == ("infra", "reference", "not-observed")
    refused = judged(inspection(), altered=(alteration(8),), original=REFUSED)
    assert (refused.finding.verdict, refused.finding.role, refused.finding.stage) == (
        "unavailable",
        "reference",
        "load",
    )
    assert "no reference to compare with" in refused.finding.title
    late = judged(inspection(), altered=(alteration(8),), original=BROKEN)
    assert (late.finding.verdict, late.finding.role) == ("unavailable", "reference")
    lost = replace(BEFORE, passes=(replace(BEFORE.passes[0], files={}),))
    kept = judged(inspection(), altered=(alteration(8),), original=lost)
    assert (kept.finding.verdict, kept.finding.reason) == (
        "infra",
        judging.ARRAYS_MISSING,
    ) and "original.npz" in kept.finding.title


@pytest.mark.parametrize(
    ("source", "leg"),
    [(export(), judging.EXPORTER_LEG), (inspection(**{"given.npz": "given"}), judging.GIVEN_LEG)],
    ids=["torch", "given outputs"],
)
def test_where_something_else_says_what_is_right_the_file_before_is_not_asked(source: Observation, leg: str) -> None:
    for original in (None, REFUSED, BEFORE):
        found = judged(source, altered=(alteration(8),), original=original)
        assert (found.finding.verdict, list(found.legs)) == ("match", [leg, *PLAIN[1:]])


def test_nor_is_it_where_nothing_was_changed() -> None:
    assert list(judged(inspection(), original=BEFORE).legs) == PLAIN[1:]


def test_where_only_tensorflow_lite_fails_the_rest_is_said_to_match() -> None:
    whole = convert(tflite=True)
    failed = replace(whole, passes=(*whole.passes[:2], passed("tflite", report("tflite", error=raised("some op")))))
    found = judged(export(), converted=failed)
    assert (found.finding.verdict, found.finding.stage) == ("error", "tflite")
    assert judging.LITE_ONLY in found.remarks and list(found.legs) == PLAIN
    wrong = judged(export(), converted=failed, legs={"onnxruntime-tensorflow": WRONG})
    assert (wrong.finding.verdict, wrong.leg) == ("mismatch", "onnxruntime-tensorflow")
    assert judging.LITE_ONLY not in wrong.remarks
    # Nothing says what a file that was changed should compute.
    changed = judged(inspection(), converted=failed, altered=(alteration(9),))
    assert (changed.finding.stage, changed.remarks) == ("tflite", ())


def test_inputs_that_neither_program_takes_say_nothing_about_a_converter() -> None:
    refused = observation("reference", passed("reference", report("import", "load", "run", error=raised("index 5000"))))
    stages = ("import", "load", "check", "convert", "run")
    failed = observation("convert", passed("convert", report(*stages, error=raised("indices"))))
    found = judged(inspection(), reference=refused, converted=failed)
    assert (found.finding.verdict, found.finding.role, found.finding.stage) == ("unavailable", "reference", "run")
    assert "index 5000" in found.finding.title and [remedy.id for remedy in found.remedies] == ["other-inputs"]
    # torch took them, so the exporter's file is what the converter stumbles over.
    assert judged(export(), reference=refused, converted=failed).finding.role == "converter"
    early = observation("convert", passed("convert", report("import", "load", "check", error=raised("check"))))
    assert judged(inspection(), reference=refused, converted=early).finding.role == "converter"
