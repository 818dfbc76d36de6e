"""Fetch an .onnx file that a package of the index carries, and check that it is the one the table names."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from matrix.core.errors import ConfigError, Indeterminate
from matrix.packages import uv
from matrix.packages.index import IndexSettings
from matrix.table.model import Packaged


def fetch(package: Packaged, folder: Path, settings: IndexSettings) -> Path:
    """Return the path of the file below `folder`, fetched if it is not there yet. Raises ConfigError if the package
    does not hold it, or holds another, and Indeterminate if the package cannot be fetched."""
    name = f"{package.name}=={package.version}"
    place = folder / f"{package.name}-{package.version}" / package.file
    if place.is_file() and _sha256(place) == package.sha256:
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    # Unpacked as for an environment, without what the package requires: links into uv's cache, not copies.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = uv.call(
            [
                *("pip", "install", "--no-deps", "--only-binary", ":all:", "--python", sys.executable),
                "--target",
                scratch,
                name,
            ],
            settings,
        )
        if not made.ok:
            raise Indeterminate(f"{name} cannot be fetched: {made.text.strip()[-500:]}")
        found = Path(scratch, package.file)
        if not found.is_file() or found.is_symlink():
            raise ConfigError(f"{name} holds no {package.file}")
        if (other := _sha256(found)) != package.sha256:
            raise ConfigError(f"{name}: the SHA-256 of {package.file} is {other}, the table states {package.sha256}")
        # A copy: the link leads into a cache that others use.
        shutil.copyfile(found, place)
    return place


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
