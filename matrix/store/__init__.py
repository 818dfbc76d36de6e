"""What was observed, kept for ever: a database of facts and a content-addressed folder of files."""

from matrix.store.blobs import FolderBlobs
from matrix.store.records import CellRecord, Observation, PassRecord, RunRecord
from matrix.store.store import Store

__all__ = ["CellRecord", "FolderBlobs", "Observation", "PassRecord", "RunRecord", "Store"]
