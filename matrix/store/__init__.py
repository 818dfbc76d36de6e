"""Everything observed: a database of facts and a content-addressed store of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matrix.store.blobs import FolderBlobs
from matrix.store.records import CellRecord, Observation, PassRecord, RunRecord

if TYPE_CHECKING:
    from matrix.store.store import Store

__all__ = ["CellRecord", "FolderBlobs", "Observation", "PassRecord", "RunRecord", "Store"]


def __getattr__(name: str) -> Any:
    # Importing SQLAlchemy takes 0.2 s, and commands that only plan do not need it.
    if name == "Store":
        from matrix.store.store import Store

        return Store
    raise AttributeError(name)
