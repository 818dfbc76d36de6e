"""Untrusted files of arrays: no content of them stops the driver."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from matrix.judging import arrays
from matrix.judging.arrays import UnreadableArrays, read_arrays


def npy(header: str, data: bytes = b"") -> bytes:
    """A member of version 1.0 with a custom header."""
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def described(descr: str, shape: str, data: bytes = b"") -> bytes:
    return npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}", data)


def archive(member: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        file.writestr("0/y.npy", member)
    return stream.getvalue()


def patched(offset: int, value: int) -> bytes:
    """A good archive with one 16-bit field of both its headers changed; `offset` counts in the local header."""
    data = bytearray(archive(described("'<f4'", "(1,)", bytes(4))))
    for start in (0, data.index(b"PK\x01\x02") + 2):
        struct.pack_into("<H", data, start + offset, value)
    return bytes(data)


def pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([{}], dtype=object), allow_pickle=True)
    return stream.getvalue()


HOSTILE = {
    "no archive": (b"x", "not a zip"),
    "nothing": (b"", "not a zip"),
    "encrypted": (patched(6, 1), "encrypted"),
    "an unknown compression": (patched(8, 99), "NotImplementedError"),
    "not .npy": (archive(b"just bytes, and more than a few"), "magic"),
    "an unknown version": (archive(b"\x93NUMPY\x09\x00" + bytes(64)), "version"),
    "objects": (archive(pickled()), "object"),
    "a header that is no Python": (archive(npy("{'descr': (")), "Error"),
    "a header nested deeply": (archive(npy("(" * 9000)), "Error"),
    "a huge shape": (archive(described("'<f8'", "(2**62,)")), "Error"),
    "a huge shape, spelt out": (archive(described("'<f8'", f"({2**70}, {2**70})")), "size of its shape"),
    "a shape of gigabytes": (archive(described("'<f8'", f"({2**36},)", bytes(8))), "size of its shape"),
    "a shape below zero": (archive(described("'<f4'", "(-1, -1)", bytes(4))), "size of its shape"),
    "an empty shape with a huge side": (archive(described("'<f4'", f"(0, {2**70})")), "Error"),
    "elements of no size": (archive(described("'|V0'", f"({2**62},)")), "V0"),
    "more than its shape": (archive(described("'<f4'", "(1,)", bytes(5))), "size of its shape"),
    "less than its shape": (archive(described("'<f4'", "(2,)", bytes(5))), "size of its shape"),
}


@pytest.mark.parametrize(("content", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_unreadable_and_nothing_else(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(UnreadableArrays, match=words):
        read_arrays(path)


def test_what_does_not_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    path = tmp_path / "x.npz"
    np.savez(path, x=np.zeros(3))
    monkeypatch.setattr(np.lib.format, "read_array", full)
    with pytest.raises(UnreadableArrays, match="MemoryError"):
        read_arrays(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_cap_is_on_what_it_unpacks_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: Callable[..., None]
) -> None:
    path = tmp_path / "x.npz"
    save(path, a=np.zeros(1000), b=np.zeros(1000))
    assert len(read_arrays(path)) == 2
    monkeypatch.setattr(arrays, "_BYTES_CAP", 16_000)
    with pytest.raises(UnreadableArrays, match="unpacks to more"):
        read_arrays(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_good_arrays_are_read_as_they_were(tmp_path: Path, save: Callable[..., None]) -> None:
    wanted = {
        "0/y": np.arange(6, dtype=np.float32).reshape(2, 3),
        "0/fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "1/scalar": np.array(True),
        "1/empty": np.zeros((0, 3), np.int64),
        "1/bfloat16": np.zeros(3, "V2"),
    }
    save(tmp_path / "x.npz", **wanted)
    found = read_arrays(tmp_path / "x.npz")
    assert list(found) == list(wanted)
    for key, array in wanted.items():
        assert found[key].dtype == array.dtype and found[key].shape == array.shape
        assert found[key].tobytes() == array.tobytes()


def test_a_file_that_cannot_be_opened_stays_an_os_error(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.npz", tmp_path):
        with pytest.raises(OSError):
            read_arrays(path)
