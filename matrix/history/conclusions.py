"""What a cell came to, in the form in which runs are compared."""

from __future__ import annotations

from dataclasses import dataclass

from matrix.judging.cells import CellResult
from matrix.judging.finding import Finding


@dataclass(frozen=True)
class Conclusion:
    """The finding without what was said. `remedied` are the changes, in words, with which a
    search saw the cell match, None where it found or looked for none."""

    finding: Finding
    remedied: tuple[str, ...] | None = None

    def same(self, other: Conclusion) -> bool:
        """Whether both mean the same. Titles may hold numbers, and not every run looks for a remedy."""
        return self.finding.kind == other.finding.kind


def conclusion_of(result: CellResult) -> Conclusion:
    remedied = result.remedied
    return Conclusion(
        result.finding.without_words(),
        tuple(words for _, words in remedied.record.changes) if remedied is not None else None,
    )
