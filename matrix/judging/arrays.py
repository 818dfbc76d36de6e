"""Read an .npz made in an environment. It is untrusted: pickles are refused and sizes are capped."""

from __future__ import annotations

import io
import math
import re
import zipfile
from pathlib import Path

import numpy as np

from matrix.judging.tensors import Array

# Comparing takes several times as much, as every number becomes a float64.
_BYTES_CAP = 2**30

# Version 3.0 only adds field names beyond Latin-1, and records are not supported anyway.
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

_OF_A_CASE = re.compile(r"\d+/.")


class UnreadableArrays(ValueError):
    """The file is not an .npz of plain arrays of acceptable size."""


def read_arrays(path: Path) -> dict[str, Array]:
    """Return the arrays by key. Raises UnreadableArrays for anything wrong with the content, OSError where the file
    cannot be read."""
    if path.stat().st_size > _BYTES_CAP:
        raise _too_large()
    content = io.BytesIO(path.read_bytes())
    try:
        with zipfile.ZipFile(content) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > _BYTES_CAP:
                raise _too_large()
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except UnreadableArrays:
        raise
    except Exception as error:  # there is no list of what zipfile, zlib, ast and numpy raise for hostile bytes
        raise UnreadableArrays(f"{type(error).__name__}: {error}") from error


def read_cases(path: Path) -> dict[str, Array]:
    """Return the arrays of a user's file. Its keys are `<case>/<name>`, or plain names of a single case, which becomes
    case 0. Raises UnreadableArrays for anything wrong with the content, also if it is empty or mixes both kinds of
    keys; OSError where the file cannot be read."""
    arrays = read_arrays(path)
    if not arrays:
        raise UnreadableArrays("it holds no array")
    if not any(_OF_A_CASE.match(key) for key in arrays):
        return {f"0/{name}": array for name, array in arrays.items()}
    wrong = next((key for key in arrays if not _OF_A_CASE.match(key)), None)
    if wrong is not None:
        raise UnreadableArrays(f"the key {wrong!r} has no case; write 0/{wrong}, like the others")
    return arrays


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """Read one array. Its header is checked against the size of the member before anything is allocated."""
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise UnreadableArrays(f"{member.filename} is of .npy version {version}")
        shape, _, dtype = _HEADERS[version](stream)
        if dtype.hasobject or not dtype.itemsize:
            raise UnreadableArrays(f"{member.filename} holds {dtype} values")
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != member.file_size - stream.tell():
            raise UnreadableArrays(f"{member.filename} does not have the size of its shape {shape} of {dtype}")
    with archive.open(member) as stream:
        array: Array = np.lib.format.read_array(stream, allow_pickle=False)
        return array


def _too_large() -> UnreadableArrays:
    return UnreadableArrays(f"unpacks to more than {_BYTES_CAP // 2**30} GiB")
