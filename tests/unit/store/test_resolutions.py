"""Locks that no file holds and what is known of culprits: what is stored is found again, and an old store is read."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small
from alembic import command
from alembic.config import Config as AlembicConfig
from small import cell_record, observation
from sqlalchemy import create_engine

from matrix.packages.lock import Lock
from matrix.store import Store, database
from matrix.store.records import Resolution
from matrix.store.schema import HEAD

DAY = dt.date(2026, 11, 24)


def lock(name: str, version: str = "3.19.4", as_of: dt.date = DAY, **changes: Any) -> Lock:
    body = f"protobuf=={version} \\\n    {small.HASH}\n"
    return small.lock(name, as_of=as_of.isoformat(), **{"body": body, **changes})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'matrix.db'}", tmp_path / "blobs")
    yield opened
    opened.close()


def begin(store: Store, resolution: Resolution = "now") -> int:
    return store.begin_run("quick", "venv", "run", 1, {}, resolution, None if resolution == "then" else DAY)


def count(tmp_path: Path, what: str) -> int:
    with sqlite3.connect(tmp_path / "matrix.db") as connection:
        (found,) = connection.execute(f"select count(*) from {what}").fetchone()
    connection.close()
    return int(found)


# --- locks -----------------------------------------------------------------------------------------------------------


def test_a_lock_comes_back_as_it_went_in(store: Store) -> None:
    run = begin(store)
    good = lock("new~now", request="5" * 64, resolver="uv 1", python="3.9", find_links=False)
    none = lock("old~now", body="", explanation="No solution found\nbecause", role="exporter")
    store.resolutions.keep(run, [good, none])
    found = store.resolutions.of_run(run)
    assert found == {"new~now": good, "old~now": none}
    assert found["new~now"].text() == good.text() and found["new~now"].digest == good.digest
    assert found["old~now"].outcome == "unsatisfiable"
    assert store.resolutions.of_run(run + 1) == {}


def test_equal_locks_are_stored_once(store: Store, tmp_path: Path) -> None:
    for number in range(3):
        store.resolutions.keep(begin(store), [lock("new~now", as_of=DAY + dt.timedelta(number)), lock("other~now")])
    assert (count(tmp_path, "lock"), count(tmp_path, "resolution")) == (1, 6)
    assert [store.resolutions.of_run(run)["new~now"].as_of.day for run in (1, 2, 3)] == [24, 25, 26]


def test_of_a_name_that_is_known_in_the_run_nothing_changes(store: Store) -> None:
    run = begin(store)
    store.resolutions.keep(run, [lock("a"), lock("a", "4.21.1")])
    store.resolutions.keep(run, [lock("a", "5"), lock("b")])
    assert {name: one.packages for name, one in store.resolutions.of_run(run).items()} == {
        "a": {"protobuf": "3.19.4"},
        "b": {"protobuf": "3.19.4"},
    }


def test_the_newest_of_each_environment(store: Store) -> None:
    first, second, third = (begin(store) for _ in range(3))
    store.resolutions.keep(first, [lock("a", "1"), lock("b", "1")])
    store.resolutions.keep(second, [lock("a", "2")])
    store.resolutions.keep(third, [lock("a", "3"), lock("c", "3")])

    def newest(*names: str, before: int | None = None) -> dict[str, str]:
        return {n: one.packages["protobuf"] for n, one in store.resolutions.newest(names, before).items()}

    assert newest("a", "b", "d") == {"a": "3", "b": "1"}
    assert newest("a", "b", "c", before=third) == {"a": "2", "b": "1"}
    assert newest("a", before=first) == {} == newest()


# --- runs and cells --------------------------------------------------------------------------------------------------


def test_a_run_knows_its_day(store: Store) -> None:
    assert [(run.resolution, run.as_of) for run in map(store.run, (begin(store), begin(store, "then")))] == [
        ("now", DAY),
        ("then", None),
    ]


def test_the_drift_of_a_run(store: Store) -> None:
    run, other = begin(store), begin(store)
    store.keep_drift(run, {"conclusion": "1 lock changed"})
    assert (store.drift(run), store.drift(other)) == ({"conclusion": "1 lock changed"}, None)


def test_the_newest_record_of_a_cell_before_a_run(store: Store) -> None:
    runs = [begin(store) for _ in range(3)]
    ids = [store.add(run, observation(job=f"j{run}"), True, None) for run in runs]
    a, b = "net/torch-1.2.0@9/old", "net/torch-1.2.0@9/old~now"
    for run, export, names in zip(runs, ids, ((a, b), (a,), (a, b)), strict=True):
        store.add_cells(run, [cell_record(name, export=export) for name in names])
    # What a search did for it is no record of the cell.
    trial = cell_record(f"{a}+ir", base=a, changes=(("a", "b"),), export=ids[2])
    store.add_cells(runs[2], [trial])

    def newest(*names: str, before: int | None = None) -> dict[int, list[str]]:
        found = store.newest_cells(names, before)
        return {run: sorted(record.cell for record in records) for run, records in found.items()}

    assert newest(a, b) == {runs[2]: [a, b]}
    assert newest(a, b, before=runs[2]) == {runs[1]: [a], runs[0]: [b]}
    assert newest(b, before=runs[0]) == {} == newest("nobody's")
    assert store.newest_cells([a])[runs[2]] == [cell_record(a, export=ids[2])]


def test_very_many_cells_at_once(store: Store) -> None:
    run = begin(store)
    export = store.add(run, observation(), True, None)
    names = [f"net/torch-1.2.0@9/row{n}" for n in range(1203)]
    store.add_cells(run, [cell_record(name, export=export) for name in names])
    assert len(store.newest_cells(names)[run]) == len(names)


# --- culprits --------------------------------------------------------------------------------------------------------


def test_all_results_of_blame_are_kept_and_the_newest_is_returned(store: Store, tmp_path: Path) -> None:
    first, second = begin(store), begin(store)
    store.blames.add(first, "a~now", {"answer": "protobuf", "now": {"digest": "1"}}, "<svg/>")
    store.blames.add(first, "b~now", {"answer": "numpy"}, "<svg>b</svg>")
    store.blames.add(second, "a~now", {"answer": "onnx"}, "<svg>2</svg>")
    found = store.blames.newest(["a~now", "b~now", "c~now"])
    assert {cell: (one.run, one.story["answer"], one.picture) for cell, one in found.items()} == {
        "a~now": (second, "onnx", "<svg>2</svg>"),
        "b~now": (first, "numpy", "<svg>b</svg>"),
    }
    assert abs(found["a~now"].created.replace(tzinfo=dt.UTC) - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    assert count(tmp_path, "blame") == 3 and store.blames.newest([]) == {}


# --- a store that is older than all this -----------------------------------------------------------------------------


def test_a_store_without_resolutions_is_read_and_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "matrix.db"
    config = AlembicConfig()
    config.set_main_option("script_location", str(database._MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    engine.dispose()
    payload = json.dumps({"schema": 1, "passes": [], "obstacle": None, "installed": {"onnx": "1.5.0"}, "python": "3.8"})
    moment = "2026-01-02 03:04:05.000000"
    with sqlite3.connect(path) as old:
        assert not {"resolution", "as_of", "drift"} & {row[1] for row in old.execute("PRAGMA table_info(run)")}
        old.execute(
            "INSERT INTO run VALUES (1, ?, ?, 'complete', 'quick', 'venv', 'run', 1, 1, 0, '{}')", (moment, moment)
        )
        old.execute(
            "INSERT INTO observation VALUES (1, 1, 'job', 'export', 'exporter', 'env', 'e', 1, 300, 6144, NULL, ?, ?)",
            (moment, payload),
        )
        names = "id, run, cell, model, exporter, torch, opset, converter, export"
        old.execute(
            f"INSERT INTO cell ({names}) VALUES (1, 1, 'net/torch-1.2.0@9/old', 'net', 'torch-1.2.0', '1.2.0', 9, "
            "'old', 1)"
        )
    old.close()
    store = Store(f"sqlite:///{path}", tmp_path / "blobs")
    try:
        assert (store.run(1).resolution, store.run(1).as_of, store.drift(1)) == ("then", None, None)
        assert store.newest_cells(["net/torch-1.2.0@9/old"]) == {1: [cell_record(export=1)]}
        run = begin(store)
        store.resolutions.keep(run, [lock("new~now")])
        store.blames.add(run, "a~now", {"answer": "x"}, "")
        assert store.resolutions.of_run(run) == {"new~now": lock("new~now")}
    finally:
        store.close()
    with sqlite3.connect(path) as now:
        assert now.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)
    now.close()
