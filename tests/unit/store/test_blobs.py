"""Blobs in a folder, and the user's files that are stored there."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from matrix.execution.user_files import UserFiles
from matrix.store import FolderBlobs
from matrix.table.model import ModelInput, ModelSpec


def test_a_name_is_the_hash_of_the_content(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    name = blobs.put(b"content")
    assert name == hashlib.sha256(b"content").hexdigest()
    assert blobs.read(name) == b"content"


def test_equal_content_is_stored_once(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    source = tmp_path / "model.onnx"
    source.write_bytes(b"content")
    name = blobs.put(b"content")
    assert blobs.take(source) == name
    assert not source.exists()
    assert [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()] == [blobs.local(name)]


def test_take_moves_and_protects(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    source = tmp_path / "model.onnx"
    source.write_bytes(b"content")
    name = blobs.take(source)
    assert not source.exists() and blobs.read(name) == b"content"
    assert blobs.local(name).stat().st_mode & 0o222 == 0


def test_collect_removes_blobs_without_references(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    keep, drop = blobs.put(b"keep"), blobs.put(b"drop it")
    half_taken = tmp_path / "blobs" / "incoming" / "1-model.onnx"
    half_taken.parent.mkdir()
    half_taken.write_bytes(b"12345")
    assert blobs.collect({keep}) == (2, len(b"drop it") + 5)
    assert blobs.read(keep) == b"keep"
    assert not blobs.local(drop).exists() and not half_taken.exists()


def test_collect_of_nothing(tmp_path: Path) -> None:
    assert FolderBlobs(tmp_path / "none").collect(set()) == (0, 0)


def test_a_file_is_stored_by_its_content_and_stays_where_it_is(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    mine = tmp_path / "mine.onnx"
    mine.write_bytes(b"a model")
    mine.chmod(0o644)
    name = blobs.put_file(mine)
    assert name == hashlib.sha256(b"a model").hexdigest() == blobs.put(b"a model")
    assert blobs.read(name) == b"a model" and blobs.local(name).stat().st_mode & 0o777 == 0o444
    # Neither taken nor linked: the user may go on writing to it.
    assert mine.read_bytes() == b"a model" and mine.stat().st_mode & 0o777 == 0o644
    mine.write_bytes(b"another")
    assert blobs.read(name) == b"a model" and blobs.put_file(mine) != name
    assert blobs.put_file(mine) == blobs.put(b"another")
    assert list((tmp_path / "blobs" / "incoming").iterdir()) == []


def test_a_link_is_stored_as_what_it_leads_to(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    (tmp_path / "real").write_bytes(b"content")
    (tmp_path / "link").symlink_to("real")
    name = blobs.put_file(tmp_path / "link")
    assert blobs.read(name) == b"content" and not blobs.local(name).is_symlink()
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").exists()


def test_a_file_that_cannot_be_read_is_not_stored(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    for place in (tmp_path / "gone", tmp_path):
        with pytest.raises(OSError, match=r"No such file|Is a directory"):
            blobs.put_file(place)
    (tmp_path / "later").write_bytes(b"x")
    assert blobs.read(blobs.put_file(tmp_path / "later")) == b"x"


def test_a_user_file_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are of gigabytes."""
    blobs = FolderBlobs(tmp_path / "blobs")
    (tmp_path / "net.pt").write_bytes(b"weights")
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read as a whole"))
    model = ModelSpec(id="mine", factory="converter.zoo.gestures:build", checkpoint="net.pt",
                      inputs=(ModelInput(name="x", shape=(1,)),))  # fmt: skip
    (given,) = UserFiles(tmp_path, blobs).of_factory(model).values()
    monkeypatch.undo()
    assert blobs.read(given) == b"weights"


def test_a_full_disk_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends, and the same command continues once there is room."""
    (tmp_path / "net.onnx").write_bytes(b"a model")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        UserFiles(tmp_path, FolderBlobs(tmp_path / "blobs")).onnx(ModelSpec(id="mine", onnx="net.onnx"))
