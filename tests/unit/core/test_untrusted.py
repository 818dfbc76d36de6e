"""Reading what an untrusted process left where a log should be."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from matrix.core.untrusted import tail


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
