"""Resolve several requests in parallel, without writing locks."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from matrix.core.errors import MatrixError
from matrix.environments.locks.request import Request
from matrix.environments.locks.resolve import resolve
from matrix.packages.index import IndexSettings, UploadDates
from matrix.packages.lock import Lock

# A resolver spends half its time waiting for the index.
_AT_ONCE = 8


@dataclass
class LiveResolver:
    """Resolves batches of requests. `fresh`: index pages younger than this many seconds are reused, which saves one
    query for every package of every environment."""

    settings: IndexSettings
    fresh: int = 600
    _dates: UploadDates = field(init=False)

    def __post_init__(self) -> None:
        self._dates = UploadDates(self.settings)

    def resolve(self, requests: Sequence[Request]) -> list[Lock]:
        """Return the locks in the order of the requests. Raises ConfigError and Indeterminate, as `resolve` does."""
        answers = self.answers(requests)
        for answer in answers:
            if isinstance(answer, MatrixError):
                raise answer
        return [answer for answer in answers if isinstance(answer, Lock)]

    def answers(self, requests: Sequence[Request]) -> list[Lock | MatrixError]:
        """Return the locks in the order of the requests, with the error of a failed one in its place."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self._one, requests))

    def _one(self, request: Request) -> Lock | MatrixError:
        try:
            return resolve(request, self.settings, self._dates, fresh=self.fresh)
        except MatrixError as error:
            return error
