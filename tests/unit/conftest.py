"""Shared by the unit tests."""

from __future__ import annotations

import functools
import gc
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from bench import Bench
from sqlalchemy import Engine

from matrix.core.converter_code import ConverterCode
from matrix.store import database


def pytest_collection_finish() -> None:
    """What was collected stays until the end: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def _folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the tests' folders are: in memory where the system offers that, for they are thousands of small files."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path_factory.mktemp("tests")
        return
    with tempfile.TemporaryDirectory(prefix="matrix-unit-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def tmp_path(_folders: Path) -> Path:
    """A new folder for one test."""
    return Path(tempfile.mkdtemp(dir=_folders))


_AS_SHIPPED = (
    (os, "fsync", os.fsync),
    (database, "_sqlite_settings", database._sqlite_settings),
    (database, "_migrate", database._migrate),
)


@pytest.fixture
def as_shipped(monkeypatch: pytest.MonkeyPatch, _quick: None) -> None:
    """Take back what `_quick` does to the database, for tests that are about just that."""
    for owner, name, value in _AS_SHIPPED:
        monkeypatch.setattr(owner, name, value)


@pytest.fixture(scope="session", autouse=True)
def _quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What costs time in every test and is not what it is about: patched once, not for every test."""
    with pytest.MonkeyPatch.context() as patch:
        _do_not_wait_for_the_disk(patch)
        _copy_new_databases(patch, tmp_path_factory.mktemp("migrated") / "matrix.db")
        _parse_code_once(patch)
        # Every command reads its table, and most tables of a test are those of others.
        patch.setattr(yaml, "compose", functools.lru_cache(64)(yaml.compose))
        yield


def _do_not_wait_for_the_disk(patch: pytest.MonkeyPatch) -> None:
    """Nothing here survives a power cut anyway, and other work on the machine's disk would decide how long it takes."""
    settings = database._sqlite_settings

    def without_waiting(connection: Any, record: Any) -> None:
        settings(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    patch.setattr(os, "fsync", lambda _: None)
    patch.setattr(database, "_sqlite_settings", without_waiting)


def _copy_new_databases(patch: pytest.MonkeyPatch, migrated: Path) -> None:
    """Hundreds of tests begin with a new database: the migrations run for the first, and for those of older schemas."""
    database.connect(f"sqlite:///{migrated}").dispose()
    migrate = database._migrate

    def copied(engine: Engine, found: str | None) -> None:
        if found is not None or engine.dialect.name != "sqlite":
            migrate(engine, found)
            return
        with engine.connect() as connection, sqlite3.connect(migrated) as source:
            target = connection.connection.driver_connection
            assert isinstance(target, sqlite3.Connection)
            empty = target.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
            if empty:
                source.backup(target)
        if not empty:
            migrate(engine, found)

    patch.setattr(database, "_migrate", copied)


def _parse_code_once(patch: pytest.MonkeyPatch) -> None:
    """Every driver parses the files of converter/, which most tests leave as they are."""
    real = Path(__file__).resolve().parents[2] / "converter"
    scan = ConverterCode._scan

    @functools.cache
    def scanned(path: Path, content: bytes) -> tuple[Path, ...]:
        return tuple(scan(ConverterCode(real), path))

    def once(code: ConverterCode, path: Path) -> Iterable[Path]:
        return scanned(path, path.read_bytes()) if code.root == real else scan(code, path)

    patch.setattr(ConverterCode, "_scan", once)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    (tmp_path / ".matrix").mkdir()
    made = Bench(tmp_path, monkeypatch, capsys)
    yield made
    made.store.close()
