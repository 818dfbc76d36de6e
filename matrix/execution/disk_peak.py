"""The peak disk usage of a run, by the file system's free space: package caches and layers are included."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

_SAMPLE_SECONDS = 0.5


class DiskPeak:
    """The least free space below a folder, compared with the free space at the start."""

    def __init__(self, place: Path) -> None:
        self._place = next(folder for folder in (place, *place.parents) if folder.exists())
        self._before = self._least = self._free()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Sample the free space inside the block."""
        task = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            task.cancel()
            self._least = min(self._least, self._free())

    def text(self) -> str:
        """Return the result as a sentence."""
        return (
            f"peak disk: {(self._before - self._least) / 2**30:.1f} GiB more than at the start, "
            f"{self._least / 2**30:.0f} GiB left free"
        )

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_SECONDS)
            self._least = min(self._least, self._free())

    def _free(self) -> int:
        return shutil.disk_usage(self._place).free
