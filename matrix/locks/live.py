"""Locks made for the moment, several at once: nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from matrix.index import IndexSettings, UploadDates
from matrix.locks.lockfile import Lock
from matrix.locks.request import Request
from matrix.locks.resolve import resolve

# A resolver waits for the index as often as it computes.
_AT_ONCE = 8


@dataclass
class LiveResolver:
    """Resolves batches of requests. `fresh`: pages of the index read less than so many seconds ago are as good as
    new, which spares a question for every package of every environment."""

    settings: IndexSettings
    fresh: int = 600
    _dates: UploadDates = field(init=False)

    def __post_init__(self) -> None:
        self._dates = UploadDates(self.settings)

    def resolve(self, requests: Sequence[Request], tell: Callable[[str], None] = lambda _: None) -> list[Lock]:
        """In the order of the requests. Raises what `matrix.locks.resolve.resolve` does."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda one: resolve(one, self.settings, self._dates, tell, self.fresh), requests))
