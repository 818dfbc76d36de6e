"""Room on the engine's disk: estimated before a build begins, because one that fills the disk takes all with it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from matrix.environments.engine import BuildFailed
from matrix.locks.lockfile import Lock

# Megabytes a package takes on the engine at most while its image is built: in the layer, with its .pyc files, and
# unpacked in the package cache. Measured over the 27 committed locks; what is not named here takes 12 on average.
_MEGABYTES: Mapping[str, int] = {
    "tensorflow": 3200,
    "tensorflow-cpu": 2600,
    "torch": 2600,
    "onnxruntime": 200,
    "nvidia-*": 700,
    "cuda-*": 100,
    "triton": 1200,
    "scipy": 300,
    "numpy": 250,
    "onnx": 150,
    "tensorflow-probability": 150,
    "tensorflow-addons": 60,
    "keras": 60,
    "libclang": 150,
    "grpcio": 60,
    "h5py": 60,
    "sympy": 150,
}
_OTHER_MEGABYTES = 12

# The engine, the store and everybody else on this disk need to go on when all builds are done.
_FLOOR_MEGABYTES = 2000


def megabytes(lock: Lock) -> int:
    """An upper estimate of what building an image of this lock takes, nothing of it being there yet."""
    return sum(_of(name) for name in lock.packages)


def _of(name: str) -> int:
    return next((size for pattern, size in _MEGABYTES.items() if fnmatchcase(name, pattern)), _OTHER_MEGABYTES)


class Room:
    """Room below `root`, shared by builds that run at once; None where the engine's disk cannot be seen."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._claimed = 0

    def free_mb(self) -> int | None:
        return None if self._root is None else shutil.disk_usage(self._root).free // 2**20

    @contextlib.contextmanager
    def claimed(self, lock: Lock) -> Iterator[None]:
        """Hold room for one build. Raises BuildFailed (infra) where there is not enough."""
        need, free = megabytes(lock), self.free_mb()
        if free is not None and free - self._claimed - _FLOOR_MEGABYTES < need:
            raise BuildFailed(
                "infra",
                "disk-full",
                f"{lock.name}: its image may need {need} MB, and the engine has {free} MB free"
                + (f", {self._claimed} of them wanted by other builds" if self._claimed else "")
                + f"; {_FLOOR_MEGABYTES} stay free. Make room: python -m matrix clean --engine docker",
            )
        self._claimed += need
        try:
            yield
        finally:
            self._claimed -= need
