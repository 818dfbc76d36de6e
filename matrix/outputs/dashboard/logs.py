"""Logs as shards: each once, long ones by their beginning and their end, and never more of a file read than that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matrix.outputs.dashboard.shards import SCHEMA, Shards, encode
from matrix.outputs.privacy import SiteCleaner
from matrix.store.blobs import BlobStore

HEAD, TAIL = 32 * 1024, 96 * 1024
_SHARD = 256 * 1024


class Logs:
    """Gathers logs by their blob and writes a shard whenever one is full."""

    def __init__(self, blobs: BlobStore, cleaner: SiteCleaner, shards: Shards) -> None:
        self._blobs = blobs
        self._cleaner = cleaner
        self._shards = shards
        self._known: dict[str, dict[str, Any] | None] = {}
        self._open: list[str] = []
        self._size = 0
        self._number = 0

    def take(self, blob: str) -> dict[str, Any] | None:
        """Where the log is found in the site; None where there is none, or its file is gone."""
        if not blob:
            return None
        if blob not in self._known:
            self._known[blob] = self._add(blob)
        return self._known[blob]

    def close(self) -> None:
        if self._open:
            name = f"logs/{self._number}"
            self._shards.write_encoded(name, f'{{"logs":{{{",".join(self._open)}}},"schema":{SCHEMA}}}')
            self._number += 1
            self._open, self._size = [], 0

    def _add(self, blob: str) -> dict[str, Any] | None:
        try:
            text, size, left_out = read(self._blobs.local(blob))
        except OSError:
            return None
        if not size:
            return None
        entry = {"text": self._cleaner.text(text), "bytes": size, "left_out": left_out}
        encoded = f"{encode(blob)}:{encode(entry)}"
        if self._open and self._size + len(encoded) > _SHARD:
            self.close()
        self._open.append(encoded)
        self._size += len(encoded)
        return {"shard": f"logs/{self._number}", "key": blob, "bytes": size}


def read(path: Path) -> tuple[str, int, int]:
    """Text, size in bytes, and how many bytes of it were left out in the middle. Raises OSError."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        if size <= HEAD + TAIL:
            return stream.read().decode(errors="replace"), size, 0
        head = stream.read(HEAD).decode(errors="replace")
        stream.seek(size - TAIL)
        tail = stream.read(TAIL).decode(errors="replace")
    left_out = size - HEAD - TAIL
    return f"{head}\n… {left_out:,} bytes left out …\n{tail}", size, left_out
