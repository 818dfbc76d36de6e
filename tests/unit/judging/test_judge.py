"""Judging a cell by its observations."""

from __future__ import annotations

import signal
from typing import Any, get_args

import pytest
from fakes import GOOD
from small import observation, passed, raised, report

from matrix.families.onnx_tf import OnnxTf
from matrix.judging import judge as judging
from matrix.judging.finding import Finding
from matrix.judging.judge import Judgement, Leg, judge
from matrix.judging.outcome import Outcome, outcome
from matrix.judging.signature_file import Remedy
from matrix.store import Observation
from matrix.store.records import Exit, Obstacle
from matrix.table.model import Verdict

# --- what one observation says ---------------------------------------------------------------------------------------

HALF = report("import", "load", "check", done=False)
WHOLE = report(*GOOD["convert"])
FAILED = report("import", "load", "check", error=raised("nobody has described this"))
UNSUPPORTED = raised("in user code:\n\n    BackendIsNotSupposedToImplementIt: Resize version 10 is not implemented.",
                     "onnx_tf.x.BackendIsNotSupposedToImplementIt")  # fmt: skip

CASES: dict[str, tuple[Observation, tuple[str, str, str] | None]] = {
    "all well": (observation("convert", passed("convert", WHOLE), passed("reload", report(*GOOD["reload"]))), None),
    "never started": (observation("convert"), ("infra", "import", "not-started")),
    # limits
    "time": (
        observation("convert", passed(result=HALF, exit=Exit(signal=9), stopped="timeout")),
        ("timeout", "check", "time-limit"),
    ),
    "memory": (
        observation("convert", passed(result=HALF, exit=Exit(signal=9, oom=True), stopped="memory")),
        ("oom", "check", "memory-limit"),
    ),
    "memory, as the engine saw it": (
        observation("convert", passed(result=HALF, exit=Exit(code=137, oom=True))),
        ("oom", "check", "memory-limit"),
    ),
    "time, even with a good result": (
        observation("convert", passed(result=WHOLE, exit=Exit(signal=9), stopped="timeout")),
        ("timeout", "save", "time-limit"),
    ),
    # deaths
    "a signal": (observation("convert", passed(result=HALF, exit=Exit(signal=11))), ("crash", "check", "sigsegv")),
    "a signal before the first stage": (
        observation("convert", passed(exit=Exit(signal=6))),
        ("crash", "import", "sigabrt"),
    ),
    "a signal without a name": (
        observation("convert", passed(exit=Exit(signal=62))),
        ("crash", "import", "signal-62"),
    ),
    "killed by somebody": (
        observation("convert", passed(result=HALF, exit=Exit(signal=signal.SIGKILL))),
        ("infra", "check", "killed-from-outside"),
    ),
    "its driver was gone": (
        observation("convert", passed(result=HALF, exit=Exit(code=75))),
        ("infra", "check", "killed-from-outside"),
    ),
    "exit 0": (
        observation("convert", passed(result=HALF, exit=Exit(code=0))),
        ("error", "check", "exit-without-result"),
    ),
    "exit 1": (
        observation("convert", passed(result=HALF, exit=Exit(code=1))),
        ("error", "check", "exit-without-result"),
    ),
    "a signal after a good result": (
        observation("convert", passed(result=WHOLE, exit=Exit(signal=11))),
        ("crash", "save", "died-after-result"),
    ),
    "a signal after a good result was released": (
        observation("convert", passed(result=WHOLE, exit=Exit(signal=11), released=True)),
        ("crash", "save", "died-after-result"),
    ),
    "exit 0 after a good result": (
        observation("convert", passed(result=WHOLE, exit=Exit(code=0))),
        ("error", "save", "died-after-result"),
    ),
    "a signal after an error": (
        observation("convert", passed(result=FAILED, exit=Exit(signal=11))),
        ("crash", "check", "sigsegv"),
    ),
    # errors
    "an error nobody knows": (observation("convert", passed(result=FAILED)), ("error", "check", "unrecognised")),
    "what the converter does not support": (
        observation("convert", passed(result=report("import", "load", "check", "convert", "run", error=UNSUPPORTED))),
        ("unsupported", "run", "op-version-not-implemented"),
    ),
    "an error of the reload": (
        observation("convert", passed("convert", WHOLE), passed("reload", report("import", error=raised("x")))),
        ("error", "reload", "unrecognised"),
    ),
    "no result": (observation("convert", passed()), ("error", "import", "no-result")),
    "half a result": (observation("convert", passed(result=HALF)), ("error", "check", "no-result")),
    "a result that was not released": (
        observation("convert", passed(result=WHOLE, released=False)),
        ("error", "save", "no-result"),
    ),
    # obstacles
    "no solution": (
        observation("convert", obstacle=Obstacle("lock", "unsatisfiable", "no-solution", "Because a and b …")),
        ("unsatisfiable", "lock", "no-solution"),
    ),
    "no interpreter": (
        observation("convert", obstacle=Obstacle("build", "unavailable", "interpreter-missing", "x needs Python 3.6")),
        ("unavailable", "build", "interpreter-missing"),
    ),
    "a full disk after a pass": (
        observation("convert", passed(result=WHOLE), obstacle=Obstacle("run", "infra", "disk", "OSError: full")),
        ("infra", "run", "disk"),
    ),
}


@pytest.mark.parametrize(("item", "wanted"), CASES.values(), ids=CASES.keys())
def test_outcome(item: Observation, wanted: tuple[str, str, str] | None) -> None:
    found = outcome(item, "")
    assert (found and (found.finding.verdict, found.finding.stage, found.finding.reason)) == wanted
    if found is not None:
        assert found.finding.title


@pytest.mark.parametrize("shape", [None, 5, "1x3", {"0": 1}])
def test_what_a_user_model_was_given_is_told_as_far_as_it_is_told_well(shape: Any) -> None:
    """Facts were made in an environment that ran the user's code."""
    error = {**raised("shapes do not fit"), "user": {"file": "net.py", "line": 7, "function": "forward"}}
    given = [{"name": "x", "dtype": "float32", "shape": shape}, "y", {"name": "z", "dtype": "int64", "shape": [1, 3]}]
    broken = report("import", "model", "forward", error=error, facts={"given": given})
    found = outcome(observation("export", passed("export", broken)), "")
    assert (
        found is not None
        and found.finding.title.endswith("; its inputs were z int64 1x3")
        and "net.py:7" in found.finding.title
    )


def test_limits_are_named_and_come_with_what_would_help() -> None:
    slow = outcome(observation("convert", passed(exit=Exit(signal=9), stopped="timeout"), seconds=12), "")
    assert slow is not None and "12 s" in slow.finding.title
    assert [remedy.id for remedy in slow.remedies] == ["raise-time-limit"]
    big = outcome(observation("convert", passed(exit=Exit(signal=9), stopped="memory"), memory_mb=34), "")
    assert big is not None and "34 MB" in big.finding.title
    assert [remedy.id for remedy in big.remedies] == ["raise-memory-limit"]


def test_the_log_explains_a_death() -> None:
    item = observation("convert", passed(result=report("import", done=False), exit=Exit(signal=4)))
    said = "Fatal Python error: Illegal instruction"
    explained = outcome(item, said)
    assert explained is not None and (explained.finding.verdict, explained.finding.reason) == (
        "unavailable",
        "cpu-too-old",
    )
    plain = outcome(item, "")
    assert plain is not None and plain.finding.reason == "sigill"


# --- the verdict on a cell -------------------------------------------------------------------------------------------

GOOD_EXPORT = observation("export", passed("export", report(*GOOD["export"], facts={"opset_written": 9}),
                                           files={"torch.npz": "torch", "model.onnx": "m"}))  # fmt: skip
GOOD_REFERENCE = observation("reference", passed("reference", report(*GOOD["reference"]),
                                                 files={"reference.npz": "ort", "again.npz": "again"}))  # fmt: skip
GOOD_CONVERT = observation(
    "convert",
    passed("convert", WHOLE, files={"memory.npz": "memory"}),
    passed("reload", report(*GOOD["reload"]), files={"reloaded.npz": "reloaded"}),
)
SCHEME = OnnxTf().scheme
SAME = Leg(None, "", {"max_abs": 0.0})
WRONG = Leg("values-differ", "by much", {"max_abs": 9.0}, ("layout-swapped",))

PAIRS = {
    ("ort", "again"): judging.REPEAT,
    ("torch", "ort"): judging.EXPORTER_LEG,
    ("ort", "memory"): "onnxruntime-tensorflow",
    ("memory", "reloaded"): "memory-reloaded",
}


def speak(item: Observation) -> Outcome | None:
    return outcome(item, "")


def judged(
    export: Observation = GOOD_EXPORT,
    reference: Observation | None = GOOD_REFERENCE,
    convert: Observation | None = GOOD_CONVERT,
    opset: int = 9,
    **legs: Leg,
) -> Judgement:
    """Legs by the role of their name in PAIRS: repeat, exporter, converter, reload; equal where not given."""
    named = {
        judging.REPEAT: legs.get("repeat", SAME),
        judging.EXPORTER_LEG: legs.get("exporter", SAME),
        "onnxruntime-tensorflow": legs.get("converter", SAME),
        "memory-reloaded": legs.get("reload", SAME),
    }

    def compare(one: str, two: str, by_position: bool, shared: bool) -> Leg:
        # torch's outputs have no names of their own, all others do.
        assert by_position is (one == "torch")
        return named[PAIRS[one, two]]

    return judge(opset, export, reference, convert, speak, compare, SCHEME)


def failing(kind: Any, *stages: str) -> Observation:
    return observation(kind, passed(kind, report(*stages, error=raised("no"))))


def test_a_match_says_so_and_nothing_else() -> None:
    found = judged(converter=Leg(None, "", {"max_abs": 1e-7}))
    assert found.finding.verdict == "match"
    assert (found.finding.role, found.finding.stage, found.finding.reason, found.remarks) == (None, None, None, ())
    assert found.metrics == {"max_abs": 1e-7}
    assert found.legs.keys() == {judging.EXPORTER_LEG, "onnxruntime-tensorflow", "memory-reloaded"}
    assert not found.finding.indeterminate


@pytest.mark.parametrize(
    ("leg", "role"), [("exporter", "exporter"), ("converter", "converter"), ("reload", "converter")]
)
def test_a_mismatch_names_the_leg_that_broke(leg: str, role: str) -> None:
    found = judged(**{leg: WRONG})
    assert found.finding.kind == (
        "mismatch",
        role,
        "compare",
        "values-differ",
    )
    wanted = {"exporter": judging.EXPORTER_LEG, "converter": "onnxruntime-tensorflow", "reload": "memory-reloaded"}
    assert found.leg == wanted[leg]
    assert found.metrics == {"max_abs": 9.0} and "layout-swapped" in found.remarks and "by much" in found.finding.title


def test_of_several_broken_legs_the_first_is_to_blame() -> None:
    assert judged(exporter=WRONG, converter=WRONG, reload=WRONG).leg == judging.EXPORTER_LEG
    assert judged(converter=WRONG, reload=WRONG).leg == "onnxruntime-tensorflow"


def test_a_failed_export_does_not_count_against_the_converter() -> None:
    found = judged(failing("export", "import", "model", "forward", "export"), None, None)
    assert (found.finding.verdict, found.finding.role, found.finding.stage) == ("error", "exporter", "export")
    found = judged(failing("export", "import"), GOOD_REFERENCE, failing("convert", "import"))
    assert found.finding.role == "exporter"


def test_a_failed_conversion_is_the_converters_even_without_reference() -> None:
    for reference in (GOOD_REFERENCE, failing("reference", "import", "load"), None):
        found = judged(reference=reference, convert=failing("convert", "import", "load", "check"))
        assert (found.finding.verdict, found.finding.role, found.finding.stage) == ("error", "converter", "check")


@pytest.mark.parametrize("stage", ["load", "run"])
def test_without_reference_a_conversion_that_ran_is_neither_right_nor_wrong(stage: str) -> None:
    found = judged(reference=failing("reference", "import", stage))
    assert (found.finding.verdict, found.finding.role, found.finding.stage) == ("unavailable", "reference", stage)
    assert found.finding.indeterminate


def test_an_unavailable_reference_stays_unavailable() -> None:
    missing = observation("reference", obstacle=Obstacle("build", "unavailable", "interpreter-missing", "x"))
    assert judged(reference=missing).finding.verdict == "unavailable"


@pytest.mark.parametrize(("reference", "convert"), [(None, GOOD_CONVERT), (GOOD_REFERENCE, None)])
def test_what_was_never_run_is_not_judged(reference: Observation | None, convert: Observation | None) -> None:
    found = judged(reference=reference, convert=convert)
    assert (found.finding.verdict, found.finding.reason) == ("infra", "not-observed")


def test_a_model_that_is_not_deterministic_is_reported_not_judged() -> None:
    found = judged(repeat=WRONG, converter=WRONG)
    assert (found.finding.verdict, found.finding.role, found.finding.reason) == (
        "unavailable",
        "reference",
        "not-deterministic",
    )


@pytest.mark.parametrize("name", ["torch.npz", "again.npz", "memory.npz", "reloaded.npz"])
def test_arrays_that_are_missing_are_named(name: str) -> None:
    def without(item: Observation) -> Observation:
        kept = [passed(p.name, p.result, files={n: b for n, b in p.files.items() if n != name}) for p in item.passes]
        return observation(item.kind, *kept)

    found = judged(without(GOOD_EXPORT), without(GOOD_REFERENCE), without(GOOD_CONVERT))
    assert (found.finding.verdict, found.finding.reason) == ("infra", "arrays-missing") and name in found.finding.title


def wrote(opset: int) -> Observation:
    return observation("export", passed("export", report(*GOOD["export"], facts={"opset_written": opset}),
                                        files={"torch.npz": "torch", "model.onnx": "m"}))  # fmt: skip


def test_another_opset_than_asked_is_said_whatever_comes_out() -> None:
    found = judged(wrote(18), opset=7)
    assert (found.finding.verdict, found.finding.reason, found.remarks) == ("match", None, ("opset-not-as-asked",))
    for other in (
        judged(wrote(18), opset=7, converter=WRONG),
        judged(wrote(18), opset=7, convert=failing("convert", "import")),
        judged(wrote(18), opset=7, reference=failing("reference", "import")),
        judged(wrote(18), opset=7, convert=None),
    ):
        assert "opset-not-as-asked" in other.remarks
    assert judged(wrote(9)).remarks == ()


def test_outputs_that_hardly_vary_are_remarked() -> None:
    assert "outputs-nearly-constant" in judged(converter=Leg(None, "", {}, blind=True)).remarks
    assert judged(exporter=Leg(None, "", {}, blind=True)).remarks == ()


def test_indeterminate_is_exactly_what_says_nothing() -> None:
    assert {verdict for verdict in get_args(Verdict) if Judgement(Finding(verdict)).finding.indeterminate} == {
        "infra",
        "unavailable",
    }


def test_remedies_travel_with_the_verdict() -> None:
    cure = Remedy(id="lower-ir-version", text="write a lower ir_version")
    failed = Outcome(Finding("error", "converter", "check", "r", "t"), "c", (cure,))
    speak = lambda item: failed if item.kind == "convert" else None  # noqa: E731
    found = judge(9, GOOD_EXPORT, None, GOOD_CONVERT, speak, lambda *_: SAME, SCHEME)
    assert (found.remedies, found.cause, found.finding.title) == ((cure,), "c", "t")
