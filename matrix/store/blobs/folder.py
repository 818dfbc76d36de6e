"""Blobs in a folder of this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Set
from pathlib import Path
from typing import BinaryIO

from matrix.core.files import sync_folder, write_bytes

# Beside the folders ab/: the databases that refer to these files, so that no one of them collects another's.
_STORES = "stores"


class FolderBlobs:
    """Stores blobs as `<root>/ab/cdef…`; implements BlobStore."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def local(self, name: str) -> Path:
        return self._root / name[:2] / name[2:]

    def put(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        path = self.local(name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, data)
            # Workers get hard links to it.
            path.chmod(0o444)
        return name

    def put_file(self, source: Path) -> str:
        copy = self._incoming("copy")
        shutil.copyfile(source, copy)
        return self.take(copy)

    def take(self, source: Path) -> str:
        held = self._incoming(source.name)
        shutil.move(source, held)
        if os.geteuid() not in (0, held.stat().st_uid):
            # Owned by a container's user: readable, but its permissions cannot be changed.
            theirs = held.rename(held.with_suffix(".theirs"))
            shutil.copyfile(theirs, held)
            theirs.unlink()
        with held.open("rb") as stream:
            name = hashlib.file_digest(stream, "sha256").hexdigest()
            os.fsync(stream.fileno())
        path = self.local(name)
        if path.exists():
            held.unlink()
        else:
            self._place(held, path)
            sync_folder(path.parent)
        return name

    def add(self, name: str, stream: BinaryIO) -> bool | None:
        # Not flushed to disk here.
        path = self.local(name)
        if path.exists():
            return False if _digest(stream) == name else None
        held = self._incoming("added")
        with held.open("wb") as copy:
            digest = _digest(stream, copy)
        if digest != name:
            held.unlink()
            return None
        self._place(held, path)
        return True

    def _incoming(self, name: str) -> Path:
        """Return a path for a file that is not stored yet."""
        folder = self._root / "incoming"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{os.getpid()}-{name}"

    def _place(self, held: Path, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        held.chmod(0o444)
        held.rename(path)

    def open(self, name: str) -> BinaryIO:
        return self.local(name).open("rb")

    def read(self, name: str) -> bytes:
        return self.local(name).read_bytes()

    def existing(self, names: Collection[str]) -> set[str]:
        return {name for name in names if self.local(name).exists()}

    def delete(self, names: Collection[str]) -> None:
        for name in names:
            self.local(name).unlink(missing_ok=True)

    def text(self, name: str) -> str:
        try:
            return self.read(name).decode(errors="replace")
        except OSError:
            return ""

    def used_by(self, store: str) -> None:
        marks = self._root / _STORES
        if not (marks / store).exists():
            marks.mkdir(parents=True, exist_ok=True)
            (marks / store).touch()

    def users(self) -> set[str]:
        return {path.name for path in (self._root / _STORES).glob("*")}

    def collect(self, named: Set[str]) -> tuple[int, int]:
        files = size = 0
        for path in self._root.glob("*/*"):
            if path.parent.name != _STORES and path.parent.name + path.name not in named:
                size += path.lstat().st_size
                files += 1
                path.unlink()
        return files, size


def _digest(stream: BinaryIO, copy: BinaryIO | None = None) -> str:
    total = hashlib.sha256()
    while piece := stream.read(2**20):
        total.update(piece)
        if copy is not None:
            copy.write(piece)
    return total.hexdigest()
