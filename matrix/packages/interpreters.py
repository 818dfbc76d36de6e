"""Find CPython interpreters of this machine through uv: on PATH, from pyenv, and those uv manages."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from matrix.packages import uv


@dataclass(frozen=True)
class Interpreter:
    """An interpreter; `version` has all three parts, such as 3.9.18."""

    path: Path
    version: str


@cache
def installed() -> dict[str, Interpreter]:
    """Map each `X.Y` to its newest installed CPython. Downloads nothing."""
    done = subprocess.run(
        [
            *(uv.binary(), "--no-config", "python", "list", "--only-installed", "--no-python-downloads"),
            *("--output-format", "json"),
        ],
        env={**os.environ, "PATH": _search_path()},
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, Interpreter] = {}
    if done.returncode != 0:
        return found
    for item in json.loads(done.stdout):
        if item["implementation"] != "cpython" or item.get("variant", "default") != "default":
            continue
        parts = item["version_parts"]
        # The list is ordered newest first, and for one interpreter from the real file to its links.
        minor = f"{parts['major']}.{parts['minor']}"
        found.setdefault(minor, Interpreter(Path(item["path"]), item["version"]))
    return found


def find(python: str) -> Interpreter | None:
    """Return the interpreter for `X.Y`, or None."""
    return installed().get(python)


def how_to_get(python: str) -> str:
    """Return the command that installs Python `X.Y`."""
    if tuple(map(int, python.split("."))) >= (3, 8):
        return f"uv python install {python}"
    # uv has no downloads of versions this old; pyenv builds them.
    return f"pyenv install {python}"


def _search_path() -> str:
    """Return PATH with pyenv's interpreters instead of its shims, which reject versions that are not activated."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    versions = sorted((root / "versions").glob("3.*/bin"), reverse=True)
    path = [p for p in os.environ.get("PATH", "").split(os.pathsep) if p and Path(p).name != "shims"]
    return os.pathsep.join([*path, *map(str, versions)])
