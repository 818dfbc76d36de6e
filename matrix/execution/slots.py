"""A semaphore with priorities."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

Priority = tuple[float, ...]


class Slots:
    """A fixed number of slots. The waiter with the lowest priority goes first, among equals the earliest."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._order = count()

    @property
    def wanted(self) -> bool:
        """Whether there are waiters."""
        return any(not future.done() for _, _, future in self._waiting)

    @property
    def demand(self) -> int:
        """How many are held or waited for, at most all."""
        waiting = sum(not future.done() for _, _, future in self._waiting)
        return min(self.size, self.size - self._free + waiting)

    @asynccontextmanager
    async def hold(self, priority: Priority) -> AsyncIterator[None]:
        """Hold a slot inside the block."""
        await self._take(priority)
        try:
            yield
        finally:
            self._give()

    async def _take(self, priority: Priority) -> None:
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
