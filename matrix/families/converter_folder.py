"""The folder of the code that runs inside environments: converter/, with the passes of external families added."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from matrix.families.family import Family


def converter_folder(converter: Path, families: Iterable[Family], store: Path) -> Path:
    """Return a folder with the passes of all `families`: `converter` itself, unless some of them are external. Then it
    is a copy below `store`, named by the hash of its content. Raises OSError where that cannot be written."""
    external = {one.code: one.folder for one in families if one.folder is not None}
    if not external:
        return converter
    digest = hashlib.sha256()
    for name, place in (("", converter), *sorted(external.items())):
        for path in sorted(path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            content = path.read_bytes()
            digest.update(f"{name}/{path.relative_to(place).as_posix()}\0{len(content)}\0".encode() + content)
    target = store / digest.hexdigest()[:20] / "converter"
    if not target.exists():
        target.parent.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=store) as scratch:
            attempt = Path(scratch) / "code"
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(converter, attempt / "converter", ignore=ignored)
            for code, folder in external.items():
                shutil.copytree(folder, attempt / "converter" / "families" / code, ignore=ignored)
            try:
                attempt.rename(target.parent)
            except OSError:
                # Unless another process made the same copy meanwhile.
                if not target.exists():
                    raise
    return target


def remove_unused(used: Path, store: Path) -> None:
    """Remove the copies below `store` other than `used`, which `converter_folder` returned."""
    for copy in store.iterdir() if store.is_dir() else ():
        if copy != used.parent:
            shutil.rmtree(copy)
