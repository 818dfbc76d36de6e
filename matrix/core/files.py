"""Atomic writes, hard links, and files left by untrusted processes. Uses the standard library only.

A take-away image carries this module.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LOG_CAP = 256 * 2**10


def write_bytes(path: Path, data: bytes, mode: int | None = None) -> None:
    """Replace a file atomically and durably: write a temporary file beside it, fsync, rename.

    `mode` overrides the permissions that the umask gives. Raises OSError, and then leaves the old file.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with scratch.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if mode is not None:
            scratch.chmod(mode)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_full(error: Exception) -> bool:
    """Return whether an error means a full disk or quota. SQLite hides the system's error behind its own text."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "database or disk is full" in str(error)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Create a hard link to a file, or a copy with the same permissions where the file system allows no link.

    Raises OSError.
    """
    try:
        os.link(Path(source).resolve(), target)
    except OSError:
        shutil.copy(source, target)


def tail(path: Path) -> str:
    """Return the last 256 KiB of a regular file as text, '' for anything else.

    An untrusted process may have put a symbolic link or a pipe there: neither is followed or waited for.
    """
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
    """Remove a folder recursively, restoring permissions that an untrusted process removed.

    What this user may not remove stays, without an error.
    """
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
