"""Content-addressed files: arrays, models and logs. Equal content is stored once."""

from __future__ import annotations

from collections.abc import Collection, Set
from pathlib import Path
from typing import BinaryIO, Protocol

from matrix.store.blobs.folder import FolderBlobs

__all__ = ["BlobStore", "FolderBlobs"]


class BlobStore(Protocol):
    """Stores immutable blobs. A blob's name is the sha256 of its content, in hex."""

    def put(self, data: bytes) -> str:
        """Store bytes and return their name."""
        ...

    def put_file(self, source: Path) -> str:
        """Store a file's content, however large, and return its name. Raises OSError where it cannot be read."""
        ...

    def take(self, source: Path) -> str:
        """Move a file in and return its name. It is hashed after the move, when no worker can write to it."""
        ...

    def add(self, name: str, stream: BinaryIO) -> bool | None:
        """Store content from another machine under its name. Returns False where it is there already, None where the
        content does not have that hash."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a blob for reading. Raises FileNotFoundError."""
        ...

    def read(self, name: str) -> bytes:
        """Return a blob's content. Raises FileNotFoundError."""
        ...

    def text(self, name: str) -> str:
        """Return a blob as text, '' where it is missing."""
        ...

    def local(self, name: str) -> Path:
        """Return a path on this machine where a blob can be read; no file is there where the blob is missing."""
        ...

    def existing(self, names: Collection[str]) -> set[str]:
        """Return those of these names that exist, in one query."""
        ...

    def delete(self, names: Collection[str]) -> None:
        """Remove blobs; missing ones are ignored."""
        ...

    def used_by(self, store: str) -> None:
        """Record that a database, identified by a hash of its URL, refers to blobs here."""
        ...

    def users(self) -> set[str]:
        """Return every database ever recorded."""
        ...

    def collect(self, named: Set[str]) -> tuple[int, int]:
        """Remove every blob that is not `named`; return their number and bytes."""
        ...
