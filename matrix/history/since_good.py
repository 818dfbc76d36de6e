"""A run compared, cell by cell, with the last run in which each cell matched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from matrix.history.causes import ChangeCause, explain_all
from matrix.history.regressions import CellChange, History, Regression
from matrix.store import RunRecord, Store


@dataclass(frozen=True)
class SinceGood:
    """`history` ends with the run in question and has only its cells; `whys` explain regressions and mended cells."""

    history: History
    whys: Mapping[CellChange, ChangeCause]

    @cached_property
    def regressions(self) -> list[Regression]:
        """The open regressions, newest first."""
        return self.history.regressions()

    @property
    def new(self) -> list[Regression]:
        """The regressions that began with this run."""
        return [found for found in self.regressions if found.new]

    @property
    def run(self) -> RunRecord:
        """The run in question."""
        return self.history.runs[-1]

    @cached_property
    def mended(self) -> list[CellChange]:
        """The cells that this run mended."""
        return _mended(self.history)

    @property
    def silent(self) -> int:
        """The number of cells that this run could not measure."""
        return self.history.silent(len(self.history.runs) - 1)

    def why(self, item: Regression) -> ChangeCause | None:
        """Return the first explanation known of its cells."""
        return next((self.whys[change] for change in item.changes if change in self.whys), None)


def since_good(store: Store, whole: History, position: int) -> SinceGood:
    """Compare the run at this position."""
    history = whole.until(position)
    changes = [change for found in history.regressions() for change in found.changes]
    return SinceGood(history, explain_all(store, history, [*changes, *_mended(history)]))


def _mended(history: History) -> list[CellChange]:
    return [change for change in history.changes(len(history.runs) - 1) if change.kind == "mended"]
