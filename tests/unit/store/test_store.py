"""History: what is added is found again, under the limits it holds for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import small
import sqlalchemy as sa
from small import observation, passed, report

from matrix.core.errors import ConfigError
from matrix.store import Observation, Store, database
from matrix.store.records import Exit, Obstacle
from matrix.store.schema import HEAD, Base
from matrix.table.model import Limits

LIMITS = Limits(seconds=300, memory_mb=1000)

FULL = observation(
    "convert",
    passed("convert", report("import", "load", facts={"opset": 9}), files={"memory.npz": "b1"}, log="b2"),
    passed("reload", exit=Exit(signal=11, oom=True), stopped="memory", log="b3"),
    obstacle=Obstacle("run", "infra", "disk", "full"),
    created=dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
)


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'matrix.db'}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(url(tmp_path), tmp_path / "blobs")
    yield opened
    opened.close()


def begin(store: Store) -> int:
    return store.begin_run("quick", "venv", "python -m matrix run", 3, {"system": "Linux"})


def add(store: Store, item: Observation, finding: bool = True, bounded: Literal["timeout", "oom"] | None = None) -> int:
    return store.add(begin(store), item, finding, bounded)


# --- observations ----------------------------------------------------------------------------------------------------


def test_an_observation_comes_back_as_it_went_in(store: Store) -> None:
    number = add(store, FULL)
    found = store.observations([number])[number]
    # SQLite keeps no time zone; the instant is UTC either way.
    assert replace(found, created=FULL.created) == replace(FULL, id=number, run=1)
    assert found.created.replace(tzinfo=dt.UTC) == FULL.created


def test_many_observations_at_once(store: Store) -> None:
    run = begin(store)
    numbers = [store.add(run, observation(job=f"j{n}"), True, None) for n in range(3)]
    assert {n: o.job for n, o in store.observations([*numbers, 999]).items()} == dict(
        zip(numbers, ("j0", "j1", "j2"), strict=True)
    )
    assert store.observations([]) == {}


def test_what_a_run_observed_itself(store: Store) -> None:
    first, second = begin(store), begin(store)
    for run, job in ((first, "a"), (second, "b"), (first, "c")):
        store.add(run, observation(job=job), True, None)
    assert [[one.job for one in store.made_by(run)] for run in (first, second, 99)] == [["a", "c"], ["b"], []]


def test_the_newest_finding_of_a_job(store: Store) -> None:
    add(store, observation(python="3.8.1"))
    add(store, observation(python="3.8.2"))
    add(store, observation(job="another"))
    found = store.finding("j", LIMITS)
    assert found is not None and found.python == "3.8.2"
    assert store.finding("nobody's", LIMITS) is None


def test_what_is_no_finding_is_never_used_again(store: Store) -> None:
    add(store, observation(), finding=False)
    assert store.finding("j", LIMITS) is None
    add(store, observation(python="3.8.1"))
    add(store, observation(python="3.8.2"), finding=False)
    found = store.finding("j", LIMITS)
    assert found is not None and found.python == "3.8.1"


@pytest.mark.parametrize(
    ("bounded", "asked", "holds"),
    [
        ("timeout", Limits(seconds=300, memory_mb=1000), True),
        ("timeout", Limits(seconds=299, memory_mb=1000), True),
        ("timeout", Limits(seconds=301, memory_mb=1000), False),
        ("timeout", Limits(seconds=300, memory_mb=9999), True),
        ("oom", Limits(seconds=300, memory_mb=1000), True),
        ("oom", Limits(seconds=300, memory_mb=999), True),
        ("oom", Limits(seconds=300, memory_mb=1001), False),
        ("oom", Limits(seconds=9999, memory_mb=1000), True),
        (None, Limits(seconds=9999, memory_mb=9999), True),
    ],
)
def test_a_limit_says_nothing_about_a_wider_one(store: Store, bounded: Any, asked: Limits, holds: bool) -> None:
    add(store, observation(seconds=300, memory_mb=1000), bounded=bounded)
    assert (store.finding("j", asked) is not None) is holds


def test_under_a_wider_limit_an_older_finding_may_still_hold(store: Store) -> None:
    add(store, observation(python="wide", seconds=600), bounded="timeout")
    add(store, observation(python="tight", seconds=60), bounded="timeout")
    found = store.finding("j", Limits(seconds=300, memory_mb=1000))
    assert found is not None and found.python == "wide"


def test_every_blob_that_is_named(store: Store) -> None:
    add(store, FULL)
    assert store.blobs_named() - {""} == {"b1", "b2", "b3"}


# --- runs and cells --------------------------------------------------------------------------------------------------


def test_a_run_from_begin_to_end(store: Store) -> None:
    run = begin(store)
    (open_run,) = store.runs()
    assert (open_run.status, open_run.ended, open_run.planned) == ("running", None, 3)
    store.end_run(run, "complete", 2, 1)
    (ended,) = store.runs()
    assert (ended.status, ended.jobs_run, ended.jobs_cached) == ("complete", 2, 1)
    assert ended.ended is not None and ended.ended >= ended.started


def test_a_run_whose_driver_was_killed_is_closed_by_the_next(store: Store) -> None:
    done = begin(store)
    store.end_run(done, "complete", 0, 0)
    killed = begin(store)
    last = begin(store)
    assert [(run.id, run.status) for run in store.runs()] == [
        (last, "running"),
        (killed, "killed"),
        (done, "complete"),
    ]


def test_cells_keep_their_order_and_history_is_newest_first(store: Store) -> None:
    runs = [begin(store), begin(store)]
    for run in runs:
        number = store.add(run, observation("export"), True, None)
        cells = [small.cell_record(name, export=number) for name in ("b", "a")]
        store.add_cells(run, cells)
        assert store.cells(run) == cells
    assert [run for run, _ in store.history("a")] == runs[::-1]
    assert store.cell_ids() == ["a", "b"]


def test_a_cell_is_decided_once_in_a_run(store: Store) -> None:
    run = begin(store)
    number = store.add(run, observation("export"), True, None)
    store.add_cells(run, [small.cell_record(export=number)])
    with pytest.raises(sa.exc.IntegrityError):
        store.add_cells(run, [small.cell_record(export=number)])


def test_a_cell_speaks_only_of_what_is_stored(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        store.add_cells(begin(store), [small.cell_record(export=12345)])


def test_derived_values_are_kept_and_replaced(store: Store) -> None:
    store.keep_derived({"k": {"a": 1}, "l": {}})
    store.keep_derived({"k": {"a": [2, None]}})
    assert store.derived(["k", "missing"]) == {"k": {"a": [2, None]}}


# --- the database ----------------------------------------------------------------------------------------------------


def test_history_outlives_the_driver(tmp_path: Path) -> None:
    first = Store(url(tmp_path), tmp_path / "blobs")
    add(first, FULL)
    first.close()
    second = Store(url(tmp_path), tmp_path / "blobs")
    found = second.finding("j", LIMITS)
    assert found is not None and found.passes == FULL.passes
    assert [run.status for run in second.runs()] == ["running"]
    second.close()


@pytest.mark.usefixtures("as_shipped")
def test_a_commit_returns_when_it_would_survive_a_power_cut(tmp_path: Path) -> None:
    engine = database.connect(url(tmp_path))
    with engine.connect() as connection:
        assert connection.execute(sa.text("PRAGMA synchronous")).scalar() == 2  # FULL
    engine.dispose()


def test_migrations_make_exactly_the_schema_the_code_uses(tmp_path: Path, store: Store) -> None:
    engine = sa.create_engine(url(tmp_path))
    found = sa.inspect(engine)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == HEAD
    assert set(found.get_table_names()) == {*Base.metadata.tables, "alembic_version"}
    for name, described in Base.metadata.tables.items():
        columns = {column["name"]: column["nullable"] for column in found.get_columns(name)}
        assert columns == {column.name: column.nullable for column in described.columns}
        indexes = {(i["name"], tuple(i["column_names"]), bool(i["unique"])) for i in found.get_indexes(name)}
        assert indexes == {(i.name, tuple(i.columns.keys()), bool(i.unique)) for i in described.indexes}
    engine.dispose()


def test_a_store_of_a_newer_version(tmp_path: Path, store: Store) -> None:
    engine = sa.create_engine(url(tmp_path))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(ConfigError, match="schema 9999, this version knows up to"):
        Store(url(tmp_path), tmp_path / "blobs")


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:////nowhere/at/all.db",
        "no-such-database://anna:s3cret@host/x",
        "not an address",
        "postgresql+no_such_driver://anna:s3cret@host/x",
        "mssql+pymssql://anna:s3cret@host/x",  # a driver that is not installed
    ],
)
def test_a_store_that_cannot_be_opened(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match="cannot be opened") as caught:
        Store(address, tmp_path / "blobs")
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "matrix.db").write_text("hello " * 100)
    with pytest.raises(ConfigError, match="cannot be opened"):
        Store(url(tmp_path), tmp_path / "blobs")
