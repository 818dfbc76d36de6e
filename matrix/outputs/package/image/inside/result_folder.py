"""The folder of the result, beside the model; other people's files are never touched."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from matrix.core.errors import UsageError

MAKER = "torch-tf-matrix"
REPORT = "report.json"
LOG = "log.txt"

# Everything ever written into a result folder. The report comes last: it shows that the rest is whole.
MADE = ("model", "graph.pb", "names.json", "inputs.npz", "outputs.npz", "reference.npz", LOG, REPORT)


def inside(path: Path, what: str) -> Path:
    """Return `path`. Raises UsageError if it is not below the working directory: anything else is lost with the
    container."""
    here = Path.cwd().resolve()
    if not path.resolve().is_relative_to(here):
        raise UsageError(
            f"{what} {path} is outside of {here}, the mounted folder, and cannot be used; "
            "start in the folder of your model and name files relative to it"
        )
    return path


def claim(folder: Path, overwrite: bool) -> None:
    """Raise UsageError if the folder holds files that this program did not write."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{folder} is not a folder; name another one with --output")
    if overwrite or not folder.exists() or not any(folder.iterdir()) or _ours(folder):
        return
    raise UsageError(
        f"{folder} holds files that this program did not write; choose another folder with --output, or use --overwrite"
    )


def _ours(folder: Path) -> bool:
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(report, dict) and report.get("made_by") == MAKER


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside the result: the rest of the container may be read-only. Raises UsageError if
    nothing can be written there."""
    here = Path.cwd().resolve()
    # The folder above the mounted one is lost with the container, if it can be written at all.
    parent = here if folder.resolve() == here else folder.parent.resolve()
    try:
        parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(prefix=f".{folder.name}-", dir=parent)
    except OSError as error:
        raise UsageError(no_access(str(parent), error)) from error
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def publish(staged: Path, folder: Path) -> None:
    """Replace the files of an earlier result by those staged; other files in the folder stay."""
    folder.mkdir(exist_ok=True)
    for name in reversed(MADE):
        old = folder / name
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    for name in MADE:
        if (staged / name).exists():
            (staged / name).rename(folder / name)


def no_access(path: str, error: OSError) -> str:
    """Say that this user may not use a file or folder."""
    return (
        f"{path} cannot be read or written by user {os.getuid()} ({error.strerror}); "
        'run the container with --user "$(id -u):$(id -g)" on a folder of your own'
    )
