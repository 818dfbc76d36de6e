"""Locks made for the moment, several at once: nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from matrix.core.errors import MatrixError
from matrix.environments.locks.request import Request
from matrix.environments.locks.resolve import resolve
from matrix.packages.index import IndexSettings, UploadDates
from matrix.packages.lock import Lock

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

    def resolve(self, requests: Sequence[Request]) -> list[Lock]:
        """In the order of the requests. Raises what `matrix.environments.locks.resolve.resolve` does."""
        answers = self.answers(requests)
        for answer in answers:
            if isinstance(answer, MatrixError):
                raise answer
        return [answer for answer in answers if isinstance(answer, Lock)]

    def answers(self, requests: Sequence[Request]) -> list[Lock | MatrixError]:
        """The same, with what went wrong with one in its place, so that it takes nothing from the others."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self._one, requests))

    def _one(self, request: Request) -> Lock | MatrixError:
        try:
            return resolve(request, self.settings, self._dates, fresh=self.fresh)
        except MatrixError as error:
            return error
