"""How to run, as opposed to what: the project says that."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matrix.store.records import Resolution


@dataclass(frozen=True)
class Bounds:
    """How far a search may go: at most `runs` runs of a cell, and no new one after `seconds`."""

    runs: int
    seconds: float | None = None


@dataclass(frozen=True)
class RunOptions:
    """How to run; a limit that is None is the table's.

    `as_of` is the day that `now` means. `blame` bounds the search for what changed a verdict since then, None: no
    search. `shard` is (I, N), the I-th of N parts of the plan; `run_id` is the run's name on every machine, None: a new
    one.
    """

    store: str | None = None
    jobs: int = 2
    seconds: float | None = None
    memory_mb: int | None = None
    locked: bool = False
    again: bool = False
    evict: bool = False
    remedy: bool = False
    tflite: bool = False
    command: str = ""
    resolution: Resolution = "then"
    as_of: dt.date | None = None
    blame: Bounds | None = None
    shard: tuple[int, int] | None = None
    run_id: str | None = None
