"""How much disk a run took at its peak, as the file system tells it: package caches and layers included."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

_SAMPLE_SECONDS = 0.5


class DiskPeak:
    """The least free space seen below a folder, against what was free at the start."""

    def __init__(self, place: Path) -> None:
        self._place = next(folder for folder in (place, *place.parents) if folder.exists())
        self._before = self._least = self._free()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            task.cancel()
            self._least = min(self._least, self._free())

    def text(self) -> str:
        """One sentence for a person."""
        return (
            f"peak disk: {(self._before - self._least) / 2**30:.1f} GiB more than at the start, "
            f"{self._least / 2**30:.0f} GiB were still free"
        )

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_SECONDS)
            self._least = min(self._least, self._free())

    def _free(self) -> int:
        return shutil.disk_usage(self._place).free
