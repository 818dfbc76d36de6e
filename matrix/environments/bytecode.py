"""Keep the .pyc files of environments beside uv's package cache, for the next time that the same environment is built.

Without them, the first import of TensorFlow takes two to four times as long. They are those of what jobs really
imported. Python checks each against its source, so a file that no longer fits costs only its compilation. Nothing here
is needed: what cannot be read or written is left out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from matrix.core.files import link_or_copy

_CACHE = "__pycache__"


class BytecodeCache:
    """The folder `root/<key>` holds the .pyc files of the environment with that key, as links."""

    def __init__(self, root: Callable[[], Path]) -> None:
        self._root = root

    def keep(self, key: str, packages: Path) -> None:
        """Keep the .pyc files below the folder `packages`."""
        with contextlib.suppress(OSError):
            # Whole or not at all: another driver may be reading it.
            scratch = self._root() / f"{key}.{os.getpid()}"
            _link(packages, scratch)
            if scratch.exists():
                shutil.rmtree(self._root() / key, ignore_errors=True)
                scratch.rename(self._root() / key)

    def restore(self, key: str, packages: Path) -> None:
        """Put the kept .pyc files below the folder `packages`."""
        with contextlib.suppress(OSError):
            _link(self._root() / key, packages)


def _link(source: Path, target: Path) -> None:
    for file in _compiled(source):
        place = target / file.relative_to(source)
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(file, place)


def _compiled(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        if Path(place).name == _CACHE:
            folders.clear()
            yield from (Path(place, name) for name in files if name.endswith(".pyc"))
