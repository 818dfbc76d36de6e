"""Make environments and images, which tests only read, once for all test processes.

The processes of pytest-xdist share one folder, named in MATRIX_TEST_SHARED. It is made anew for each session, unless
that variable is set already: then the folder is used and kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from product import Project
from tables import ROOT

_VARIABLE = "MATRIX_TEST_SHARED"
_PATIENCE_SECONDS = 900


def begin(config: pytest.Config) -> None:
    """Make the folder, before other processes are started."""
    if _VARIABLE not in os.environ:
        os.environ[_VARIABLE] = tempfile.mkdtemp(prefix="matrix-tests-")
        config.add_cleanup(_end)


def _end() -> None:
    shutil.rmtree(os.environ.pop(_VARIABLE), ignore_errors=True)


@contextlib.contextmanager
def alone(name: str) -> Iterator[Path]:
    """Lock a folder that only one process at a time may write to."""
    folder = Path(os.environ[_VARIABLE]) / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def environments(state: Path, *rows: str) -> None:
    """Lend the virtual environments of these rows to a --state, building those that are missing.

    Each is a link: drivers of several states use it at the same time, and none of them removes it.
    """
    with alone("state") as owner:
        project = Project(ROOT, owner)
        missing = {*rows} - {_row(stamp) for stamp in project.stamps().values() if stamp}
        if missing:
            done = project.call("build", *sorted(missing), "--locked", patience=_PATIENCE_SECONDS)
            assert done.code == 0, done.err
    lent = state / "envs"
    lent.mkdir(parents=True, exist_ok=True)
    for folder, stamp in project.stamps().items():
        link = lent / folder.name
        if stamp and _row(stamp) in rows and not link.exists():
            link.symlink_to(folder)


def _row(stamp: dict[str, Any]) -> str:
    """Return the row of an environment, without its build."""
    return str(stamp["environment"]).partition(".cpu")[0]


def images(*rows: str) -> None:
    """Build missing images of these rows; the engine keeps them, as those of any run."""
    with alone("images") as state:
        done = Project(ROOT, state, engine="docker").call("build", *rows, "--locked", patience=_PATIENCE_SECONDS)
        assert done.code == 0, done.err
