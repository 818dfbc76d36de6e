"""Shared by the unit tests."""

from __future__ import annotations

import functools
import gc
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import Bench
from sqlalchemy import Engine

from matrix.converter_code import ConverterCode
from matrix.store import database


def pytest_collection_finish() -> None:
    """What was collected stays until the end: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here survives a power cut anyway, and other work on the machine's disk would decide how long it takes."""
    settings = database._sqlite_settings

    def without_waiting(connection: Any, record: Any) -> None:
        settings(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(database, "_sqlite_settings", without_waiting)


@pytest.fixture(scope="session")
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of today's schema, made by all migrations."""
    path = tmp_path_factory.mktemp("migrated") / "matrix.db"
    database.connect(f"sqlite:///{path}").dispose()
    return path


@pytest.fixture(autouse=True)
def _new_databases_are_copies(_migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of tests begin with a new database: the migrations run for the first, and for those of older schemas."""
    migrate = database._migrate

    def copied(engine: Engine, found: str | None) -> None:
        if found is not None or engine.dialect.name != "sqlite":
            migrate(engine, found)
            return
        with engine.connect() as connection, sqlite3.connect(_migrated) as source:
            target = connection.connection.driver_connection
            assert isinstance(target, sqlite3.Connection)
            empty = target.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
            if empty:
                source.backup(target)
        if not empty:
            migrate(engine, found)

    monkeypatch.setattr(database, "_migrate", copied)


@functools.cache
def _imports(root: Path, path: Path, content: bytes) -> tuple[Path, ...]:
    return tuple(_scan(ConverterCode(root), path))


_scan = ConverterCode._scan


@pytest.fixture(autouse=True)
def _code_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every driver parses the files of converter/, which most tests leave as they are."""

    def scan(code: ConverterCode, path: Path) -> Iterable[Path]:
        real = Path(__file__).resolve().parents[2] / "converter"
        return _imports(code.root, path, path.read_bytes()) if code.root == real else _scan(code, path)

    monkeypatch.setattr(ConverterCode, "_scan", scan)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    (tmp_path / ".matrix").mkdir()
    made = Bench(tmp_path, monkeypatch, capsys)
    yield made
    made.store.close()
