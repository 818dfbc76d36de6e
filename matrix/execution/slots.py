"""A fixed number of places to work in, given to the most urgent waiter first."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count


class Slots:
    """A semaphore with priorities; the lower number goes first, among equals the earlier."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits."""
        return any(not future.done() for _, _, future in self._waiting)

    @asynccontextmanager
    async def hold(self, priority: int) -> AsyncIterator[None]:
        await self._take(priority)
        try:
            yield
        finally:
            self._give()

    async def _take(self, priority: int) -> None:
        if self._free and not self.wanted:
            self._free -= 1
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._order), future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._give()
            raise

    def _give(self) -> None:
        while self._waiting:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)
                return
        self._free += 1
