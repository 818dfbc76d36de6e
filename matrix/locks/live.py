"""Locks made for the moment, several at once: nothing is written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from matrix.index import IndexSettings, UploadDates
from matrix.locks.lockfile import Lock
from matrix.locks.request import Request
from matrix.locks.resolve import resolve

# A resolver waits for the index as often as it computes.
_AT_ONCE = 4


@dataclass
class LiveResolver:
    """Resolves batches of requests. `fresh`: pages of the index read less than so many seconds ago are as good as
    new, which spares a question for every package of every environment."""

    settings: IndexSettings
    fresh: int = 600
    _dates: dict[int, UploadDates] = field(default_factory=dict)

    def resolve(self, requests: Sequence[Request], tell: Callable[[str], None] = lambda _: None) -> list[Lock]:
        """In the order of the requests. Raises what `matrix.locks.resolve.resolve` does."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda request: self._one(request, tell), requests))

    def _one(self, request: Request, tell: Callable[[str], None]) -> Lock:
        # One for each thread: they remember what they asked, and are not made for two askers.
        dates = self._dates.setdefault(threading.get_ident(), UploadDates(self.settings))
        return resolve(request, self.settings, dates, tell, self.fresh)
