"""Shared by the unit tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import Bench

from matrix.store import database


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here survives a power cut anyway, and other work on the machine's disk would decide how long it takes."""
    settings = database._sqlite_settings

    def without_waiting(connection: Any, record: Any) -> None:
        settings(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(database, "_sqlite_settings", without_waiting)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    (tmp_path / ".matrix").mkdir()
    made = Bench(tmp_path, monkeypatch, capsys)
    yield made
    made.store.close()
