"""Where the result goes: a folder beside the model, and nothing of anybody else's is touched."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from matrix.outputs.package.image.inside.mistake import Mistake

MAKER = "torch-tf-matrix"
REPORT = "report.json"
LOG = "log.txt"

# All that is ever written into a result folder; the report comes last, it says that the rest is whole.
MADE = ("model", "graph.pb", "names.json", "inputs.npz", "outputs.npz", "reference.npz", LOG, REPORT)


def inside(path: Path, what: str) -> Path:
    """`path` as given, if it lies below the working directory: anything else is gone with the container."""
    here = Path.cwd().resolve()
    if not path.resolve().is_relative_to(here):
        raise Mistake(
            f"{what} {path} lies outside of {here}, the mounted folder, and this program sees nothing else; "
            "start it in the folder of your model and name files relative to it"
        )
    return path


def claim(folder: Path, overwrite: bool) -> None:
    """Raises Mistake where the folder holds what this program did not make."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise Mistake(f"{folder} is in the way: it is no folder; name another one with --output")
    if overwrite or not folder.exists() or not any(folder.iterdir()) or _ours(folder):
        return
    raise Mistake(
        f"{folder} holds files that this program did not make; name another folder with --output, or give --overwrite"
    )


def _ours(folder: Path) -> bool:
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(report, dict) and report.get("made_by") == MAKER


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder for everything in between, beside the result: the rest of the container may be read-only."""
    here = Path.cwd().resolve()
    # The folder above the mounted one is lost with the container, if it can be written at all.
    parent = here if folder.resolve() == here else folder.parent.resolve()
    try:
        parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(prefix=f".{folder.name}-", dir=parent)
    except OSError as error:
        raise Mistake(
            f"{parent} cannot be written by user {os.getuid()} ({error.strerror}); "
            'run the container with --user "$(id -u):$(id -g)" on a folder of your own'
        ) from error
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def publish(staged: Path, folder: Path) -> None:
    """Put what was made in the place of what was made before; other files in the folder stay."""
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
