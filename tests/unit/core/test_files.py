"""Atomic writes, and reading what an untrusted process left in place of a log."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from matrix.core.files import tail, write_bytes


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("a much longer text than the new one")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_are_on_disk_before_they_have_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: steps.append("sync, there" if (tmp_path / "x").exists() else "sync"))
    write_bytes(tmp_path / "x", b"new")
    assert steps == ["sync", "sync, there"]  # the data, then the folder that names it


def test_the_end_of_a_long_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a" * 2**20 + b"\xff the end")
    text = tail(path)
    assert text.endswith("� the end")
    assert len(text) <= 256 * 2**10
    path.write_text("short")
    assert tail(path) == "short"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "log").symlink_to(tmp_path / "secret")
    assert tail(tmp_path / "log") == ""


def test_nothing_else_is_read_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.extend(tail(tmp_path / name) for name in ("pipe", "folder", "none")))
    reader.daemon = True
    reader.start()
    reader.join(5)
    assert found == ["", "", ""]
