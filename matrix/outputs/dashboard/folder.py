"""The site's folder, replaced as a whole, so that a visitor sees the old site or the new one."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from matrix.core.errors import UsageError

# A file that marks a folder as a site of this program.
_MARK = Path("data") / "site.js"
_BEGINS = b'matrixShard("site",'


@contextlib.contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """Yield an empty folder beside `out` that replaces it at the end; a build that fails or is killed leaves `out`
    alone. Raises UsageError if `out` holds anything but a site, or cannot be replaced."""
    out = out.absolute()
    _check(out)
    building, old = (out.with_name(f".{out.name}.{word}-{os.getpid()}") for word in ("building", "old"))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _tidy(out)
        building.mkdir()
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}; name a folder whose parent is writable") from error
    try:
        yield building
        _check(out)
        _swap(building, out, old)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _check(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(f"--out {out} is not a plain folder; name one that does not exist yet")
    if out.is_dir() and any(out.iterdir()) and not _is_site(out):
        raise UsageError(
            f"--out {out} holds files that are not a site of this program, and a build replaces the whole folder; "
            "name another one or empty it"
        )


def _is_site(folder: Path) -> bool:
    try:
        with (folder / _MARK).open("rb") as stream:
            return stream.read(len(_BEGINS)) == _BEGINS
    except OSError:
        return False


def _swap(new: Path, out: Path, old: Path) -> None:
    if not out.exists():
        new.rename(out)
        return
    try:
        out.rename(old)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be replaced: {error.strerror}; name a folder below it") from error
    try:
        new.rename(out)
    except BaseException:
        old.rename(out)
        raise


def _tidy(out: Path) -> None:
    """Remove the remains of killed builds, and put back a site that one of them had moved aside."""
    for word in ("old", "building"):
        for left in out.parent.glob(f".{out.name}.{word}-*"):
            pid = left.name.rpartition("-")[2]
            if not pid.isdigit() or (int(pid) != os.getpid() and _lives(int(pid))):
                continue
            if word == "old" and not out.exists() and _is_site(left):
                left.rename(out)
            else:
                shutil.rmtree(left, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
