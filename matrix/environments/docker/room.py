"""Room on the engine's disk: estimated before a build begins, because one that fills the disk takes all with it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from pathlib import Path

from packaging.specifiers import SpecifierSet

from matrix.environments.engine import BuildFailed
from matrix.families.registry import heavy_packages
from matrix.packages.lock import Lock

# Megabytes a package takes on the engine at most while its image is built: unpacked in the package cache, and again in
# the layer with its .pyc files. Measured over the committed locks, rounded up; the first line that fits counts, after
# those of the families.
_MEGABYTES: tuple[tuple[str, str, int], ...] = (
    ("torch", "", 3300),
    ("nvidia-*", "", 700),
    ("triton", "", 1200),
    ("onnxruntime", "", 200),
    ("scipy", "", 200),
    ("numpy", "", 160),
    ("libclang", "", 120),
    ("sympy", "", 150),
    ("cuda-*", "", 100),
    ("onnx", "", 90),
    ("*", "", 9),
)

# The engine, the store and everybody else on this disk need to go on when all builds are done.
FLOOR_MEGABYTES = 2000


def megabytes(lock: Lock) -> int:
    """An upper estimate of what building an image of this lock takes, nothing of it being there yet."""
    return sum(_of(name, version) for name, version in lock.packages.items())


def _of(name: str, version: str) -> int:
    of_families = ((name, versions, size) for versions, size in heavy_packages().get(name, ()))
    return next(
        size
        for pattern, versions, size in (*of_families, *_MEGABYTES)
        if fnmatchcase(name, pattern) and SpecifierSet(versions, prereleases=True).contains(version)
    )


class Room:
    """Room below `root`, shared by builds that run at once; None where the engine's disk cannot be seen."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._claims = 0
        self._given_back = asyncio.Condition()

    def free_mb(self) -> int | None:
        return None if self._root is None else shutil.disk_usage(self._root).free // 2**20

    @contextlib.asynccontextmanager
    async def claimed(self, lock: Lock) -> AsyncIterator[None]:
        """Hold room for one build, waiting for others to end where it would only fit after them. Raises BuildFailed
        (infra) where it would not fit even alone."""
        need = megabytes(lock)
        async with self._given_back:
            while (short := self._short_of(need)) and self._claims:
                await self._given_back.wait()
            if short:
                raise BuildFailed(
                    "infra",
                    "disk-full",
                    f"{lock.name}: its image may need {need} MB, and the engine has {self.free_mb()} MB free, of which "
                    f"{FLOOR_MEGABYTES} stay free. Make room: python -m matrix clean --engine docker",
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
