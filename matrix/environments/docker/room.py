"""Disk space for builds, estimated in advance: a build that fills the engine's disk makes all others fail."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from matrix.environments.engine import BuildFailed
from matrix.environments.sizes import megabytes
from matrix.packages.lock import Lock

# Left free for the engine, the store and everything else on this disk.
FLOOR_MEGABYTES = 2000


class Room:
    """Free space below `root`, shared by parallel builds. `root` None: the engine's disk is not on this machine."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._claims = 0
        self._given_back = asyncio.Condition()

    def free_mb(self) -> int | None:
        return None if self._root is None else shutil.disk_usage(self._root).free // 2**20

    @contextlib.asynccontextmanager
    async def claimed(self, lock: Lock) -> AsyncIterator[None]:
        """Reserve space for a build, waiting until others end where it does not fit beside them.

        Raises BuildFailed (infra) where it would not fit alone.
        """
        need = megabytes(lock)
        async with self._given_back:
            while (short := self._short_of(need)) and self._claims:
                await self._given_back.wait()
            if short:
                raise BuildFailed(
                    "infra",
                    "disk-full",
                    f"{lock.name}: its image may need {need} MB, and the engine has {self.free_mb()} MB free, of which "
                    f"{FLOOR_MEGABYTES} must stay free. Make room: python -m matrix clean --engine docker",
                )
            self._claims += need
        try:
            yield
        finally:
            async with self._given_back:
                self._claims -= need
                self._given_back.notify_all()

    def _short_of(self, need: int) -> bool:
        free = self.free_mb()
        return free is not None and free - self._claims - FLOOR_MEGABYTES < need
