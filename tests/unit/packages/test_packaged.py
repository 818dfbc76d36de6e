"""Files that packages of the index carry."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from matrix.core.errors import ConfigError, Indeterminate
from matrix.packages import packaged, uv
from matrix.packages.index import IndexSettings
from matrix.table.model import Packaged

CONTENT = b"a network"
FILE = Packaged(
    name="tool", version="1.2", file="tool/net.onnx", sha256=hashlib.sha256(CONTENT).hexdigest(), licence="MIT"
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def call(arguments: Sequence[str], settings: Any) -> uv.UvResult:
        asked.append(arguments[-1])
        if arguments[-1] == "tool==1.2":
            place = Path(arguments[arguments.index("--target") + 1], "tool")
            place.mkdir()
            (place / "net.onnx").write_bytes(CONTENT)
            return uv.UvResult(True, "", "")
        return uv.UvResult(False, "", "no such release")

    monkeypatch.setattr(uv, "call", call)
    return asked


SETTINGS = IndexSettings.resolve({})


def test_it_is_fetched_once(tmp_path: Path, calls: list[str]) -> None:
    for _ in range(2):
        path = packaged.fetch(FILE, tmp_path, SETTINGS)
        assert path.read_bytes() == CONTENT
    assert calls == ["tool==1.2"]
    path.write_bytes(b"damaged")
    assert packaged.fetch(FILE, tmp_path, SETTINGS).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"sha256": "0" * 64}, ConfigError, "the table states 000"),
        ({"file": "tool/other.onnx"}, ConfigError, "holds no tool/other.onnx"),
        ({"version": "9"}, Indeterminate, "cannot be fetched: no such release"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, calls: list[str], changed: dict[str, str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        packaged.fetch(FILE.model_copy(update=changed), tmp_path, SETTINGS)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
