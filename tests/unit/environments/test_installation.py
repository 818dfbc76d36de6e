"""Installed versions against the lock, and the stamp of a valid environment."""

from __future__ import annotations

from pathlib import Path

import pytest
import small

from matrix.environments.installation import differences
from matrix.environments.venv import installed_in, read_stamp, write_stamp


def test_a_stamp_is_read_back(tmp_path: Path) -> None:
    write_stamp(tmp_path, {"id": "x", "installed": {"onnx": "1"}})
    assert read_stamp(tmp_path) == {"schema": 1, "id": "x", "installed": {"onnx": "1"}}


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"schema": 2}', "{}"])
def test_an_invalid_stamp(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        write_stamp(tmp_path, {})
        (tmp_path / "matrix-stamp.json").write_text(content)
    assert read_stamp(tmp_path) is None


BODY = "torch==2.0+cpu \\\n    --hash=sha256:00\nnumpy==1.20.0 \\\n    --hash=sha256:00\n"


def test_installed_as_locked() -> None:
    # The same version may be written in more than one way.
    assert differences(small.lock("x", body=BODY), {"torch": "2.0+cpu", "numpy": "1.20"}) == []


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ({"torch": "2.0+cpu", "numpy": "1.20.1"}, "numpy: locked 1.20.0, installed 1.20.1"),
        ({"torch": "2.0", "numpy": "1.20.0"}, "torch: locked 2.0+cpu, installed 2.0"),
        ({"torch": "2.0+cpu"}, "numpy 1.20.0 is in the lock but not installed"),
        ({"torch": "2.0+cpu", "numpy": "1.20.0", "pip": "9"}, "pip 9 is installed but not in the lock"),
    ],
)
def test_installed_versions_that_differ_from_the_lock(installed: dict[str, str], said: str) -> None:
    assert differences(small.lock("x", body=BODY), installed) == [said]


def test_what_is_installed_is_read_from_the_folder(tmp_path: Path) -> None:
    info = tmp_path / "Foo_Bar-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.2\n")
    assert installed_in(tmp_path) == {"foo-bar": "1.2"}
