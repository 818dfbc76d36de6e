"""Folders put together without anybody's database."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from matrix.outputs.interchange.folder import Folder, writing
from matrix.outputs.interchange.incoming import Import
from matrix.outputs.interchange.outgoing import Export, ExportSelection, Sent
from matrix.outputs.interchange.privacy import AsItIs, Declared
from matrix.store import Store


def merge(folders: Sequence[Path], out: Path) -> Sent:
    """Write the union of exports, in whatever order they are named. Raises ConfigError for a folder that is none or is
    damaged, UsageError where `out` holds something else; both leave `out` as it is."""
    read = [Folder(folder) for folder in folders]
    with tempfile.TemporaryDirectory(prefix="matrix-merge-") as scratch:
        place = Path(scratch)
        with contextlib.closing(Store(f"sqlite:///{place / 'matrix.db'}", place / "blobs")) as store:
            Import(store, AsItIs()).take_in(read)
            with writing(out) as written:
                return Export(store, None, Declared(None), AsItIs(), ExportSelection(arrays=True)).write(written)
