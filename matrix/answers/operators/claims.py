"""What a converter claims to convert, such as by the handlers it ships, against what was measured. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matrix.answers.operators.summary import CaseResult, Coverage, Support

Standing = Literal["claimed-works", "claimed-fails", "unclaimed-works", "unclaimed-fails", "not-measured"]

DISAGREES: tuple[Standing, ...] = ("claimed-fails", "unclaimed-works")


@dataclass(frozen=True, slots=True)
class Claim:
    """One form of an operator. A claim fails where any case about it does; what is not claimed works where any case
    does. `proof` is a case that shows it, None where there is no case about this form."""

    operator: str
    since: int
    standing: Standing
    support: Support | None
    proof: CaseResult | None


def claims(coverage: Coverage) -> tuple[Claim, ...]:
    """Of every form that the row's onnx knows or its converter claims, by operator and form."""
    support = coverage.support()
    known = {(operator, since) for operator, forms in coverage.schemas.items() for since in forms}
    claimed = {(operator, since) for operator, versions in coverage.handlers.items() for since in versions}
    return tuple(
        _claim(operator, since, (operator, since) in claimed, support.get((operator, since)), coverage)
        for operator, since in sorted(known | claimed | set(support))
    )


def _claim(operator: str, since: int, claimed: bool, support: Support | None, coverage: Coverage) -> Claim:
    if support is None:
        return Claim(operator, since, "not-measured", None, None)
    cases = coverage.about[operator, since]
    failing = [case for case in cases if case.finding.verdict != "match"]
    if claimed:
        standing: Standing = "claimed-fails" if failing else "claimed-works"
        return Claim(operator, since, standing, support, _telling(failing) if failing else cases[0])
    matching = [case for case in cases if case.finding.verdict == "match"]
    standing = "unclaimed-works" if matching else "unclaimed-fails"
    return Claim(operator, since, standing, support, matching[0] if matching else _telling(failing))


def _telling(cases: Sequence[CaseResult]) -> CaseResult:
    """The first of those that fail in the commonest way."""
    ways = Counter((case.finding.verdict, case.finding.reason) for case in cases)
    common = ways.most_common(1)[0][0]
    return next(case for case in cases if (case.finding.verdict, case.finding.reason) == common)
