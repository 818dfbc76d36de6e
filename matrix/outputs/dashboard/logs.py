"""Logs as shards: each once, of long ones the beginning and the end; no more of a file is read than that."""

from __future__ import annotations

from pathlib import Path

from matrix.outputs.dashboard.schema import SCHEMA, Log, LogPlace
from matrix.outputs.dashboard.shards import Shards, encode
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
        self._known: dict[str, LogPlace | None] = {}
        self._open: list[str] = []
        self._size = 0
        self._number = 0

    def take(self, blob: str) -> LogPlace | None:
        """Return where the site has the log; None if it is empty or its file is gone."""
        if not blob:
            return None
        if blob not in self._known:
            self._known[blob] = self._add(blob)
        return self._known[blob]

    def close(self) -> None:
        """Write the shard that is open."""
        if self._open:
            name = f"logs/{self._number}"
            self._shards.write_encoded(name, f'{{"logs":{{{",".join(self._open)}}},"schema":{SCHEMA}}}')
            self._number += 1
            self._open, self._size = [], 0

    def _add(self, blob: str) -> LogPlace | None:
        try:
            text, size, left_out = read(self._blobs.local(blob))
        except OSError:
            return None
        if not size:
            return None
        entry = Log(text=self._cleaner.text(text), bytes=size, left_out=left_out)
        encoded = f"{encode(blob)}:{encode(entry)}"
        if self._open and self._size + len(encoded) > _SHARD:
            self.close()
        self._open.append(encoded)
        self._size += len(encoded)
        return {"shard": f"logs/{self._number}", "key": blob, "bytes": size}


def read(path: Path) -> tuple[str, int, int]:
    """Return the text, its size in bytes, and how many bytes were left out in the middle. Raises OSError."""
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
