"""What a run tells while it goes on; a view implements it, a test records it."""

from __future__ import annotations

from typing import Protocol

from matrix.planning.cells import Cell
from matrix.store.records import Observation


class Events(Protocol):
    def planned(self, cells: int) -> None: ...

    def building(self, environment: str) -> None: ...

    def built(self, environment: str, seconds: float, problem: str | None) -> None: ...

    def job_started(self, kind: str, environment: str) -> None: ...

    def job_ended(self, observation: Observation, cached: bool) -> None: ...

    def cell_decided(self, cell: Cell) -> None: ...
