"""What a cell came to, in the form in which runs are compared."""

from __future__ import annotations

from dataclasses import dataclass

from matrix.config.model import Role, Verdict
from matrix.results import CellResult
from matrix.verdicts.outcome import INDETERMINATE


@dataclass(frozen=True)
class Conclusion:
    """Verdict, and where and why; `title` says it to a person. `remedied` are the changes, in words, with which a
    search saw the cell match, None where it found or looked for none."""

    verdict: Verdict
    role: Role | None = None
    stage: str | None = None
    reason: str | None = None
    title: str = ""
    remedied: tuple[str, ...] | None = None

    @property
    def good(self) -> bool:
        return self.verdict == "match"

    @property
    def indeterminate(self) -> bool:
        return self.verdict in INDETERMINATE

    def same(self, other: Conclusion) -> bool:
        """Whether both mean the same. Titles may hold numbers, and not every run looks for a remedy."""
        return self._kind == other._kind

    @property
    def _kind(self) -> tuple[str | None, ...]:
        return self.verdict, self.role, self.stage, self.reason


def conclusion_of(result: CellResult) -> Conclusion:
    judgement, remedied = result.judgement, result.remedied
    return Conclusion(
        judgement.verdict,
        judgement.role,
        judgement.stage,
        judgement.reason,
        judgement.title,
        tuple(words for _, words in remedied.record.changes) if remedied is not None else None,
    )
