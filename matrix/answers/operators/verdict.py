"""What one backend test case came to: its end, then its error, then its numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from matrix.answers.operators.cases import Case
from matrix.answers.operators.opsets import Use
from matrix.answers.operators.summary import UNAVAILABLE
from matrix.judging.compare import NotComparable, Tolerances, compare
from matrix.judging.finding import Finding
from matrix.judging.outcome import outcome
from matrix.judging.tensors import Array, dtype_name
from matrix.store.records import Exit, Observation, PassRecord

RANDOM_OUTPUT = "random-output"
NOTHING_EXPECTED = "nothing-to-compare-with"

# Operators whose output is drawn: no two implementations agree on the numbers, only on how many and of which type.
_DRAWN = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
_SHAPE_REASONS = frozenset({"output-count", "output-names", "output-shape", "output-dtype"})

_SAID = 400


def verdict_of(
    case: Case,
    used: tuple[Use, ...],
    expected: Mapping[str, Array],
    actual: Mapping[str, Array],
    tolerances: Tolerances,
    memory_mb: int,
) -> Finding:
    """Judge a case as a job is judged. `expected` and `actual` are its own arrays by name; `memory_mb` (MiB) is what
    it was allowed."""
    observation = _as_observation(case, memory_mb)
    if (failed := outcome(observation, case.printed or "")) is not None:
        found = failed.finding
        unseen = found.indeterminate or _not_the_converters(case, found)
        said = (found.said or found.title)[:_SAID]
        return replace(found, verdict=UNAVAILABLE if unseen else found.verdict, title="", said=said)
    return _compared(used, expected, actual, tolerances)


def _not_the_converters(case: Case, failed: Finding) -> bool:
    """A case that its own onnx cannot read never reached the converter, some bring inputs that do not fit their own
    file, and of some the outputs cannot be kept."""
    kept = case.error is None or case.error.type != "converter.graph.NotATensor"
    return case.stage == "load" or failed.reason == "input-shape-differs" or not kept


def draws(used: tuple[Use, ...]) -> bool:
    """Whether something in it is random by definition; of Dropout the third input says that it is in training."""
    return any(use.operator in _DRAWN or (use.operator == "Dropout" and use.given[2:3] == "1") for use in used)


def _compared(
    used: tuple[Use, ...], expected: Mapping[str, Array], actual: Mapping[str, Array], tolerances: Tolerances
) -> Finding:
    try:
        for name, array in expected.items():
            dtype_name(name, array)
    except NotComparable as error:
        return Finding(UNAVAILABLE, "converter", "compare", NOTHING_EXPECTED, said=str(error)[:_SAID])
    if not expected:
        return Finding(UNAVAILABLE, "converter", "compare", NOTHING_EXPECTED, said="the case comes without outputs")
    try:
        found = compare(expected, actual, tolerances)
    except NotComparable as error:
        return Finding("mismatch", "converter", "compare", "output-dtype", said=str(error)[:_SAID])
    if found.match:
        return Finding("match", "converter", "compare")
    if draws(used) and found.reason not in _SHAPE_REASONS:
        return Finding(UNAVAILABLE, "converter", "compare", RANDOM_OUTPUT, said="drawn numbers cannot be compared")
    return Finding("mismatch", "converter", "compare", found.reason, said=found.detail[:_SAID])


def _as_observation(case: Case, memory_mb: int) -> Observation:
    """The same three witnesses that a job leaves, so that there is one judge for both."""
    error = case.error.model_dump(by_alias=True) if case.error is not None else None
    ended = Exit(case.exit.code, case.exit.signal) if case.exit is not None else None
    record = PassRecord(
        name="coverage",
        result={"stages": [{"stage": case.stage}], "error": error, "done": case.done},
        exit=ended,
        stopped=case.stopped,
        released=True,
        seconds=case.seconds,
        log="",
        files={},
    )
    return Observation(
        job="",
        kind="coverage",
        role="converter",
        environment="",
        environment_id="",
        limits_seconds=round(case.seconds),
        limits_memory_mb=memory_mb,
        passes=(record,),
    )
