"""Large files handed on without copying them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """A hard link to the file itself where the file system allows it, else a copy with the same rights."""
    try:
        os.link(Path(source).resolve(), target)
    except OSError:
        shutil.copy(source, target)
