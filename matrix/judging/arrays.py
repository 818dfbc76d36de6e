"""Reading an .npz that came out of an environment: untrusted, so no pickles and no surprises in size."""

from __future__ import annotations

import io
import math
import re
import zipfile
from pathlib import Path

import numpy as np

from matrix.judging.tensors import Array

# Comparing takes several times as much, since every number becomes a float64.
_BYTES_CAP = 2**30

# Version 3.0 only adds names of fields beyond Latin-1, and records are no numbers.
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


_OF_A_CASE = re.compile(r"\d+/.")


class UnreadableArrays(ValueError):
    """Not an .npz of plain arrays of acceptable size."""


def read_arrays(path: Path) -> dict[str, Array]:
    """Key to array. Raises UnreadableArrays for whatever is wrong with the content; OSError where the file cannot be
    read."""
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
    """Arrays that a user brings: keys `<case>/<name>`, or plain names for a single case, which is case 0 then. Raises
    what `read_arrays` does, UnreadableArrays also for no array at all and for keys of both kinds."""
    arrays = read_arrays(path)
    if not arrays:
        raise UnreadableArrays("it holds no array")
    if not any(_OF_A_CASE.match(key) for key in arrays):
        return {f"0/{name}": array for name, array in arrays.items()}
    wrong = next((key for key in arrays if not _OF_A_CASE.match(key)), None)
    if wrong is not None:
        raise UnreadableArrays(f"the key {wrong!r} names no case; write 0/{wrong}, as the others")
    return arrays


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """Nothing is allocated for an array before its header was held against the member's size."""
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
