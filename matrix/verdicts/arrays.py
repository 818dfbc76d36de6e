"""Reading an .npz that came out of an environment: untrusted, so no pickles and no surprises in size."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from matrix.verdicts.tensors import Array

_BYTES_CAP = 8 * 2**30


class UnreadableArrays(ValueError):
    """Not an .npz of plain arrays of acceptable size."""


def read_arrays(path: Path) -> dict[str, Array]:
    """Key to array. Raises UnreadableArrays; OSError where the file cannot be opened."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > _BYTES_CAP:
                raise UnreadableArrays(f"unpacks to more than {_BYTES_CAP // 2**30} GiB")
        with np.load(path, allow_pickle=False) as archive_of_arrays:
            return {key: archive_of_arrays[key] for key in archive_of_arrays.files}
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise UnreadableArrays(f"{type(error).__name__}: {error}") from error
