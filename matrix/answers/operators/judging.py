"""The files of a coverage job, made into its Coverage: untrusted files in, a plain summary out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matrix.answers.operators.cases import Case, UnreadableCases, read_report
from matrix.answers.operators.opsets import History, since, uses
from matrix.answers.operators.summary import CaseResult, Coverage, Form
from matrix.answers.operators.verdict import verdict_of
from matrix.judging.arrays import UnreadableArrays, read_arrays
from matrix.judging.compare import Tolerances
from matrix.judging.tensors import Array
from matrix.table.ids import by_case

# What converter/backend/measuring.py allows one case where nobody says otherwise, MiB.
CASE_MB = 3072


class UnreadableCoverage(ValueError):
    """A file that an environment left is not what it should be; the message names it."""


def judge_cases(converter: str, cases: Path, expected: Path, actual: Path, tolerances: Tolerances) -> Coverage:
    """Judge what a coverage job left. Raises UnreadableCoverage, and OSError where a file cannot be opened."""
    try:
        report = read_report(cases)
    except UnreadableCases as error:
        raise UnreadableCoverage(f"cases.json: {error}") from error
    wanted, found = _by_case("expected.npz", expected), _by_case("actual.npz", actual)
    results = []
    for number, case in enumerate(report.cases):
        used = uses({"uses": case.uses})
        key = str(number)
        verdict = verdict_of(case, used, wanted.get(key, {}), found.get(key, {}), tolerances, CASE_MB)
        results.append(CaseResult(case.name, case.suite, forms(case, report.schemas), used, verdict))
    return Coverage(
        converter,
        report.onnx,
        report.package,
        report.release,
        report.opset,
        tuple(results),
        report.handlers,
        report.schemas,
    )


def forms(case: Case, schemas: History) -> tuple[Form, ...]:
    """The operators of a case with the form that its file's opsets mean, sorted."""
    return tuple((operator, _form(operator, case.opsets, schemas)) for operator in sorted(case.operators))


def _form(operator: str, opsets: Mapping[str, int], schemas: History) -> int | None:
    domain = operator.rpartition(".")[0] or "ai.onnx"
    return since(schemas, operator, opsets[domain]) if domain in opsets else None


def _by_case(name: str, path: Path) -> Mapping[str, Mapping[str, Array]]:
    try:
        arrays = read_arrays(path)
    except UnreadableArrays as error:
        raise UnreadableCoverage(f"{name}: {error}") from error
    return by_case(arrays)
