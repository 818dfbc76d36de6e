"""Blobs in a folder of this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Set
from pathlib import Path
from typing import BinaryIO

from matrix.core.files import sync_folder, write_bytes

# Beside the folders ab/: which databases name these files, so that none of them is collected behind another's back.
_STORES = "stores"


class FolderBlobs:
    """`<root>/ab/cdef…`; a name is the sha256 of the content, in hex."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def local(self, name: str) -> Path:
        return self._root / name[:2] / name[2:]

    def put(self, data: bytes) -> str:
        """Store bytes and return their name."""
        name = hashlib.sha256(data).hexdigest()
        path = self.local(name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, data)
            # Workers are given hard links to it.
            path.chmod(0o444)
        return name

    def put_file(self, source: Path) -> str:
        """Store a file's content, however large, and return its name; OSError where it cannot be read."""
        incoming = self._root / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        copy = incoming / f"{os.getpid()}-copy"
        shutil.copyfile(source, copy)
        return self.take(copy)

    def take(self, source: Path) -> str:
        """Move a file in and return its name; it is hashed after the move, out of a worker's folder."""
        incoming = self._root / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        held = incoming / f"{os.getpid()}-{source.name}"
        shutil.move(source, held)
        if os.geteuid() not in (0, held.stat().st_uid):
            # Made by a container's user, of whom we may read the file but not own it.
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
            path.parent.mkdir(parents=True, exist_ok=True)
            held.chmod(0o444)
            held.rename(path)
            sync_folder(path.parent)
        return name

    def add(self, name: str, stream: BinaryIO) -> bool | None:
        """Copy in a file that came from elsewhere under this name, not yet flushed to disk; False where it is there
        already, None where its content is not what the name says."""
        path = self.local(name)
        if path.exists():
            return False if _digest(stream) == name else None
        incoming = self._root / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        held = incoming / f"{os.getpid()}-added"
        total = hashlib.sha256()
        with held.open("wb") as copy:
            while piece := stream.read(2**20):
                total.update(piece)
                copy.write(piece)
        if total.hexdigest() != name:
            held.unlink()
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        held.chmod(0o444)
        held.rename(path)
        return True

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
        """A log; '' where the file is gone."""
        try:
            return self.read(name).decode(errors="replace")
        except OSError:
            return ""

    def used_by(self, store: str) -> None:
        """Note that a database, known by a hash of its address, names files here."""
        marks = self._root / _STORES
        if not (marks / store).exists():
            marks.mkdir(parents=True, exist_ok=True)
            (marks / store).touch()

    def users(self) -> set[str]:
        """Every database ever noted."""
        return {path.name for path in (self._root / _STORES).glob("*")}

    def collect(self, named: Set[str]) -> tuple[int, int]:
        """Remove every file that is not named; returns how many and their bytes."""
        files = size = 0
        for path in self._root.glob("*/*"):
            if path.parent.name != _STORES and path.parent.name + path.name not in named:
                size += path.lstat().st_size
                files += 1
                path.unlink()
        return files, size


def _digest(stream: BinaryIO) -> str:
    total = hashlib.sha256()
    while piece := stream.read(2**20):
        total.update(piece)
    return total.hexdigest()
