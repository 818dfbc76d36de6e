"""Holding findings against what matrix.yml expects of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from matrix.judging.judge import Judgement
from matrix.table import selectors
from matrix.table.model import Expectation
from matrix.table.selectors import Selector


@dataclass(frozen=True)
class Expectations:
    """Compiled once; where several speak about a cell, all must hold."""

    rules: tuple[tuple[Selector, Expectation], ...]

    @classmethod
    def of(cls, expectations: Iterable[Expectation]) -> Expectations:
        return cls(tuple((selectors.from_mapping(item.cells), item) for item in expectations))

    def speak_of(self, subject: Mapping[str, str]) -> bool:
        """Whether the table states anything about this cell."""
        return any(selector(subject) for selector, _ in self.rules)

    def complaints(
        self, subject: Mapping[str, str], judgement: Judgement, opset_written: int | None
    ) -> tuple[str, ...]:
        """One phrase for each difference. An indeterminate cell disagrees with nothing."""
        if judgement.finding.indeterminate:
            return ()
        found: list[str] = []
        for selector, expected in self.rules:
            if selector(subject):
                found += _differences(expected, judgement, opset_written)
        return tuple(dict.fromkeys(found))


def _differences(expected: Expectation, judgement: Judgement, opset_written: int | None) -> list[str]:
    pairs = [
        ("verdict", expected.verdict, judgement.finding.verdict),
        ("role", expected.role, judgement.finding.role),
        ("stage", expected.stage, judgement.finding.stage),
        ("reason", expected.reason, judgement.finding.reason),
        ("opset written", expected.opset_written, opset_written),
    ]
    found = [f"expected {name} {want}, got {got or 'none'}" for name, want, got in pairs if want not in (None, got)]
    if expected.remark is not None and expected.remark not in judgement.remarks:
        found.append(f"expected the remark {expected.remark}, got {', '.join(judgement.remarks) or 'none'}")
    if expected.max_abs is not None:
        measured = judgement.metrics.get("max_abs")
        if not isinstance(measured, int | float) or measured > expected.max_abs:
            found.append(f"expected max abs at most {expected.max_abs:g}, got {measured}")
    return found
