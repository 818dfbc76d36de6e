"""What was observed, kept for ever: a database of facts and a content-addressed folder of files.

What is imported from here is loaded when it is asked for: the shapes of what is stored are needed without a database.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matrix.store.blobs import FolderBlobs
    from matrix.store.records import CellRecord, Observation, PassRecord, RunRecord
    from matrix.store.store import Store

__all__ = ["CellRecord", "FolderBlobs", "Observation", "PassRecord", "RunRecord", "Store"]

_PLACES = {"FolderBlobs": "blobs", "Store": "store"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES.get(name, 'records')}"), name)
