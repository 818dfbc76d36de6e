"""The conclusion on a cell, run by run. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from matrix.judging.finding import Finding


@dataclass(frozen=True)
class Conclusion:
    """The finding on a cell, in the form in which runs are compared: without what was raised. `remedied` are the
    changes, in words, with which a search saw the cell match; None where it found none, or there was no search."""

    finding: Finding
    remedied: tuple[str, ...] | None = None

    def same(self, other: Conclusion) -> bool:
        """Tell whether both mean the same. Titles may hold numbers, and not every run looks for a remedy."""
        return self.finding.kind == other.finding.kind


@dataclass(frozen=True)
class Timeline:
    """One cell, oldest run first: positions of the runs that decided it, of its conclusion in each, and the rows of
    the store that hold them. Arrays, because there may be millions of entries."""

    runs: array[int] = field(default_factory=lambda: array("H"))
    conclusions: array[int] = field(default_factory=lambda: array("I"))
    rows: array[int] = field(default_factory=lambda: array("q"))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.runs, self.conclusions, strict=True)

    @property
    def newest(self) -> tuple[int, int]:
        """The newest run and its conclusion."""
        return self.runs[-1], self.conclusions[-1]

    def row(self, run: int) -> int:
        """Return the store's row for the run at this position. Raises ValueError where that did not decide the cell."""
        return self.rows[self.runs.index(run)]

    def until(self, run: int) -> Timeline:
        """Return the timeline up to and including the run at this position."""
        end = bisect_right(self.runs, run)
        return Timeline(self.runs[:end], self.conclusions[:end], self.rows[:end])

    def changes(self) -> list[tuple[int, int]]:
        """Return run and conclusion wherever the conclusion differs from the one before."""
        found: list[tuple[int, int]] = []
        for run, conclusion in self:
            if not found or found[-1][1] != conclusion:
                found.append((run, conclusion))
        return found
