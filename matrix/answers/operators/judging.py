"""Judge the files of a coverage job, case by case: how the case ended, then its error, then its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from matrix.answers.operators.cases import Case, UnreadableCoverage, read_cases
from matrix.answers.operators.coverage import UNAVAILABLE, CaseResult, Coverage, History, OperatorForm, Use, since, uses
from matrix.judging.arrays import UnreadableArrays, read_arrays
from matrix.judging.compare import NotComparable, Tolerances, compare
from matrix.judging.finding import Finding
from matrix.judging.outcome import outcome
from matrix.judging.tensors import Array, dtype_name
from matrix.store.records import Exit, Observation, PassRecord
from matrix.table.ids import by_case
from matrix.table.model import Verdict

# The default memory limit of one case in converter/backend/measuring.py, MiB.
_CASE_MB = 3072

# Operators with random output: implementations agree on its shape and type only.
_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
_SHAPE_REASONS = frozenset({"output-count", "output-names", "output-shape", "output-dtype"})

_SAID = 400


def judge_cases(converter: str, cases: Path, expected: Path, actual: Path, tolerances: Tolerances) -> Coverage:
    """Judge the files of a coverage job. Raises UnreadableCoverage, and OSError if a file cannot be opened."""
    report = read_cases(cases)
    wanted, found = _by_case("expected.npz", expected), _by_case("actual.npz", actual)
    results = []
    for number, case in enumerate(report.cases):
        used, key = uses({"uses": case.uses}), str(number)
        finding = _ended(case) or _compared(used, wanted.get(key, {}), found.get(key, {}), tolerances)
        results.append(CaseResult(case.name, case.suite, _forms(case, report.schemas), used, finding))
    return Coverage(
        converter, report.onnx, report.package, report.release, report.opset, tuple(results), report.handlers,
        report.schemas,
    )  # fmt: skip


def _by_case(name: str, path: Path) -> Mapping[str, Mapping[str, Array]]:
    try:
        return by_case(read_arrays(path))
    except UnreadableArrays as error:
        raise UnreadableCoverage(f"{name}: {error}") from error


def _forms(case: Case, schemas: History) -> tuple[OperatorForm, ...]:
    """The operators of a case in the form that the opsets of its file mean, sorted."""
    opsets = {operator: case.opsets.get(operator.rpartition(".")[0] or "ai.onnx") for operator in case.operators}
    return tuple(
        (operator, None if opset is None else since(schemas, operator, opset))
        for operator, opset in sorted(opsets.items())
    )


def _ended(case: Case) -> Finding | None:
    """Judge how a case ended, as a job is judged; None if it left numbers to compare."""
    failed = outcome(_as_observation(case), case.printed or "")
    if failed is None:
        return None
    found = failed.finding
    # Not the converter's failure: its own onnx cannot read the case, the inputs do not fit the file, or the outputs
    # cannot be stored.
    proves_nothing = (
        found.indeterminate
        or case.stage == "load"
        or found.reason == "input-shape-differs"
        or (case.error is not None and case.error.type == "converter.graph.NotATensor")
    )
    verdict = UNAVAILABLE if proves_nothing else found.verdict
    return replace(found, verdict=verdict, title="", said=(found.said or found.title)[:_SAID])


def _as_observation(case: Case) -> Observation:
    """Put the result, the exit and the stop of a case in the form that jobs leave, so that one judge serves both."""
    error = case.error.model_dump(by_alias=True) if case.error is not None else None
    record = PassRecord(
        name="coverage",
        result={"stages": [{"stage": case.stage}], "error": error, "done": case.done},
        exit=Exit(case.exit.code, case.exit.signal) if case.exit is not None else None,
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
        limits_memory_mb=_CASE_MB,
        passes=(record,),
    )


def _compared(
    used: tuple[Use, ...], expected: Mapping[str, Array], actual: Mapping[str, Array], tolerances: Tolerances
) -> Finding:
    def finding(verdict: Verdict, reason: str | None = None, said: object = "") -> Finding:
        return Finding(verdict, "converter", "compare", reason, said=str(said)[:_SAID])

    try:
        for name, array in expected.items():
            dtype_name(name, array)
    except NotComparable as error:
        return finding(UNAVAILABLE, "nothing-to-compare-with", error)
    if not expected:
        return finding(UNAVAILABLE, "nothing-to-compare-with", "the case has no outputs")
    try:
        found = compare(expected, actual, tolerances)
    except NotComparable as error:
        return finding("mismatch", "output-dtype", error)
    if found.match:
        return finding("match")
    if _random(used) and found.reason not in _SHAPE_REASONS:
        return finding(UNAVAILABLE, "random-output", "random outputs cannot be compared")
    return finding("mismatch", found.reason, found.detail)


def _random(used: tuple[Use, ...]) -> bool:
    """Whether an output is random by definition; the third input of Dropout says that it is in training mode."""
    return any(use.operator in _RANDOM or (use.operator == "Dropout" and use.given[2:3] == "1") for use in used)
