"""Files by the hash of their content: arrays, models and logs. Equal content is stored once."""

from __future__ import annotations

from collections.abc import Collection, Set
from pathlib import Path
from typing import BinaryIO, Protocol

from matrix.store.blobs.folder import FolderBlobs

__all__ = ["BlobStore", "FolderBlobs"]


class BlobStore(Protocol):
    """Where blobs are kept. A blob's name is the sha256 of its content, in hex; what is stored never changes."""

    def put(self, data: bytes) -> str:
        """Store bytes and return their name."""
        ...

    def put_file(self, source: Path) -> str:
        """Store a file's content, however large, and return its name. Raises OSError where it cannot be read."""
        ...

    def take(self, source: Path) -> str:
        """Move a file in and return its name; it is hashed once nobody else can write to it."""
        ...

    def add(self, name: str, stream: BinaryIO) -> bool | None:
        """Store what came from elsewhere under a name. Returns False where it is there already, None where its content
        is not what the name says."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a blob for reading. Raises FileNotFoundError."""
        ...

    def read(self, name: str) -> bytes:
        """Return a blob's content. Raises FileNotFoundError."""
        ...

    def text(self, name: str) -> str:
        """Return a log; '' where the blob is gone."""
        ...

    def local(self, name: str) -> Path:
        """Return where a blob can be read as a file of this machine; there is no file where there is no such blob."""
        ...

    def existing(self, names: Collection[str]) -> set[str]:
        """Return which of these there are, in one question."""
        ...

    def delete(self, names: Collection[str]) -> None:
        """Remove blobs; what is not there is left out."""
        ...

    def used_by(self, store: str) -> None:
        """Take note that a database, known by a hash of its address, names blobs here."""
        ...

    def users(self) -> set[str]:
        """Return every database ever noted."""
        ...

    def collect(self, named: Set[str]) -> tuple[int, int]:
        """Remove every blob that is not named; returns how many and their bytes."""
        ...
