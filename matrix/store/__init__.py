"""What was observed, kept for ever: a database of facts and a content-addressed folder of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matrix.store.blobs import FolderBlobs
from matrix.store.records import CellRecord, Observation, PassRecord, RunRecord

if TYPE_CHECKING:
    from matrix.store.store import Store

__all__ = ["CellRecord", "FolderBlobs", "Observation", "PassRecord", "RunRecord", "Store"]


def __getattr__(name: str) -> Any:
    # The database library takes a fifth of a second to import, and commands that only plan need none of it.
    if name == "Store":
        from matrix.store.store import Store

        return Store
    raise AttributeError(name)
