"""Files that an untrusted process left: read without being led astray, removed against its will."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LOG_CAP = 256 * 2**10


def tail(path: Path) -> str:
    """The last 256 KiB of a plain file as text, '' for anything else: a link could lead anywhere, a pipe block."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return ""
    with os.fdopen(descriptor, "rb") as stream:
        stream.seek(max(0, status.st_size - _LOG_CAP))
        return stream.read(_LOG_CAP).decode(errors="replace")


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, even where rights were taken away; what is not ours to remove stays."""

    tried: set[str] = set()

    def insist(action: Callable[..., Any], path: str, _: object) -> None:
        failed = Path(path)
        if path in tried:
            return
        tried.add(path)
        with contextlib.suppress(OSError):
            for place in (failed.parent, failed):
                if place.is_relative_to(folder) and not place.is_symlink():
                    place.chmod(0o700)
            if failed.is_dir() and not failed.is_symlink():
                shutil.rmtree(failed, onerror=insist)
            else:
                failed.unlink(missing_ok=True)

    shutil.rmtree(folder, onerror=insist)
