"""Cells of a search: the jobs that run for them and what is stored, also in a database of the first schema."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small
from alembic import command
from alembic.config import Config as AlembicConfig
from fakes import GOOD, Deed, FakeEngine, good
from small import observation
from sqlalchemy import create_engine
from test_run import World

from matrix.execution.job_types import JOB_TYPES
from matrix.families.onnx_tf import OnnxTf
from matrix.planning import Plan
from matrix.planning.cells import Cell, Step
from matrix.store import Store, database
from matrix.store.schema import HEAD


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    table = small.config(tmp_path)
    store = Store("sqlite://", tmp_path / "blobs")
    yield World(tmp_path, table, small.locks(table), store, FakeEngine(tmp_path))
    store.close()


def plan(world: World) -> Plan:
    return world.plan("known", "opset=8", "converter=new")


def asked(cell: Cell, *words: str, **changes: Any) -> Cell:
    return replace(cell, base=cell.id, changes=tuple(Step("x", word) for word in words), **changes)


def run(world: World, *cells: Cell) -> tuple[int, dict[str, Any]]:
    """Run these cells; return the run's number and its records by cell."""
    made, _ = world.run(replace(plan(world), cells=cells))
    return made.id, {record.cell: record for record in world.store.cells(made.id)}


def test_alterations_are_made_one_after_the_other_and_shared(world: World) -> None:
    (cell,) = plan(world).cells
    both = asked(cell, "ir", "simplified", alterations=(("ir_version", 8), ("simplify", True)))
    one = asked(cell, "ir", alterations=(("ir_version", 8),))
    given: list[tuple[dict[str, Any], bytes]] = []

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        if work == "alter":
            paths = [worker.inbox / spec["folder"] / "model.onnx" for worker in world.engine.workers]
            given.append((spec["params"]["change"], next(path.read_bytes() for path in paths if path.exists())))
        return good(work, spec)

    world.engine.script = script
    _, records = run(world, cell, one, both)
    assert [change for change, _ in given] == [{"ir_version": 8}, {"simplify": True}]
    assert json.loads(given[1][1]) == {"change": {"ir_version": 8}}  # what the first had made
    assert [len(records[item.id].alter) for item in (cell, one, both)] == [0, 1, 2]
    assert records[one.id].alter[0] == records[both.id].alter[0]
    assert len({record.convert for record in records.values()}) == 3
    assert len({record.reference for record in records.values()}) == 3  # of the file as it was altered
    assert len({record.export for record in records.values()}) == 1


def test_an_alteration_that_fails_decides_the_cell(world: World) -> None:
    (cell,) = plan(world).cells
    of = asked(cell, "ir", "simplified", alterations=(("ir_version", 8), ("simplify", True)))
    failed = Deed(small.report("load", "alter", error=small.raised("no such opset")))
    world.engine.script = lambda work, spec: failed if work == "alter" else good(work, spec)
    number, records = run(world, of)
    record = records[of.id]
    assert (len(record.alter), record.convert, record.reference) == (1, None, None)
    seen = world.store.observations([record.export, *record.alter])
    judged = world.judge.cells([replace(record, base=None)], world.locks, number)[0].judgement
    assert (judged.finding.verdict, judged.finding.role, judged.finding.stage) == ("error", "reference", "alter")
    assert seen[record.alter[0]].kind == "alter"


def test_surroundings_are_set_for_a_worker_of_its_own(world: World) -> None:
    (cell,) = plan(world).cells
    of = asked(cell, "A=1", environ=(("A", "1"),))
    told: list[Any] = []

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        if work in ("convert", "reload"):
            told.append((work, spec["params"].get("environ")))
        return good(work, spec)

    world.engine.script = script
    run(world, cell, of)
    assert sorted(told, key=str) == [
        ("convert", None),
        ("convert", {"A": "1"}),
        ("reload", None),
        ("reload", {"A": "1"}),
    ]
    workers = [worker for worker in world.engine.workers if worker.work == "convert"]
    assert len(workers) == 2 and all(worker.killed for worker in workers)


def test_the_same_export_from_two_environments_is_two(world: World) -> None:
    """With a package added, an exporter is another environment under the same name."""
    (cell,) = plan(world).cells
    row = next(item for item in world.table.exporters if item.id == cell.exporter.row)
    row = row.model_copy(update={"id": "torch-1.12.1+numpy-below-2", "add": {"numpy": "<2"}})
    world.locks[row.id] = small.lock(row.id, "exporter", body=f"numpy==1.24.0 \\\n    {small.HASH}\n")
    of = asked(cell, "numpy<2", exporter=replace(cell.exporter, row=row.id), exporter_row=row)
    _, records = run(world, cell, of)
    exports = world.store.observations([record.export for record in records.values()])
    assert {name: exports[record.export].environment for name, record in records.items()} == {
        cell.id: "torch-1.12.1",
        of.id: row.id,
    }


def test_where_numbers_part_is_looked_for_in_one_case_of_the_file_that_was_converted(world: World) -> None:
    (cell,) = plan(world).cells
    told: list[Any] = []

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        if work in ("expose", "trace"):
            told.append((work, spec["params"]))
        return good(work, spec)

    world.engine.script = script
    _, records = run(world, cell, replace(cell, base=cell.id, locate=3))
    record = records[f"{cell.id}+located"]
    assert told == [("expose", {"case": 3}), ("trace", {"case": 3})]
    assert record.expose is not None and record.trace is not None
    assert (record.convert, record.reference) == (records[cell.id].convert, records[cell.id].reference)


def test_tflite_is_one_pass_more_and_a_job_of_its_own(world: World) -> None:
    first = world.make(plan(world), tflite=True)
    asyncio.run(first.execute())
    assert [work for work, _, _ in world.engine.seen][-3:] == ["convert", "reload", "tflite"]
    given = {work: names for work, _, names in world.engine.seen}
    assert "saved/graph.pb" in given["tflite"] and "saved/graph.pb" in given["reload"]
    (result,) = world.results(first).values()
    assert list(result.judgement.legs)[-1] == "reloaded-tflite"
    second, results = world.run(plan(world))
    assert (second.counts.run, second.counts.cached) == (1, 3)
    assert "reloaded-tflite" not in next(iter(results.values())).judgement.legs


# --- the store -------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'matrix.db'}", tmp_path / "blobs")
    yield opened
    opened.close()


def test_what_a_search_did_comes_back_as_it_went_in(store: Store) -> None:
    number = store.begin_run("quick", "fake", "", 1, {})
    ids = [store.add(number, observation(job=f"j{n}"), True, None) for n in range(7)]
    plain = small.cell_record(export=ids[0], reference=ids[1], convert=ids[2])
    trial = replace(
        plain, cell=f"{plain.cell}+a+b", base=plain.cell, alter=(ids[3], ids[4]),
        changes=(("ir_version", "ir_version 10→8"), ("add", "protobuf<4")),
    )  # fmt: skip
    located = replace(plain, cell=f"{plain.cell}+located", base=plain.cell, expose=ids[5], trace=ids[6])
    half = replace(located, cell=f"{plain.cell}+half", trace=None)
    store.add_cells(number, [plain, trial, located, half])
    assert store.cells(number) == [plain, trial, located, half]
    assert trial.observations == [ids[0], ids[3], ids[4], ids[1], ids[2]]
    assert half.observations == [ids[0], ids[1], ids[2], ids[5]]
    # They are no cells of their own.
    assert store.cell_ids() == [plain.cell]
    assert store.history(plain.cell) == [(number, [plain, trial, located, half])]
    later = store.begin_run("quick", "fake", "", 1, {})
    store.add_cells(later, [plain])
    assert [(run, len(records)) for run, records in store.history(plain.cell)] == [(later, 1), (number, 4)]


def test_a_database_of_the_first_schema_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    config = AlembicConfig()
    config.set_main_option("script_location", str(database._MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    payload = json.dumps({"schema": 1, "passes": [], "obstacle": None, "installed": {"onnx": "1.5.0"}, "python": "3.8"})
    with sqlite3.connect(path) as old:
        assert "base" not in [row[1] for row in old.execute("PRAGMA table_info(cell)")]
        day = "2026-01-02 03:04:05.000000"
        old.execute("INSERT INTO run VALUES (1, ?, ?, 'complete', 'quick', 'venv', 'run', 1, 1, 0, '{}')", (day, day))
        for number, kind, role in ((1, "export", "exporter"), (2, "convert", "converter")):
            old.execute(
                "INSERT INTO observation VALUES (?, 1, ?, ?, ?, 'env', 'e', 1, 300, 6144, NULL, ?, ?)",
                (number, f"job{number}", kind, role, day, payload),
            )
        old.execute(
            "INSERT INTO cell VALUES (1, 1, ?, 'net', 'torch-1.2.0', '1.2.0', 9, 'old', 1, NULL, 2)",
            ("net/torch-1.2.0@9/old",),
        )
    old.close()
    store = Store(f"sqlite:///{path}", tmp_path / "blobs")
    try:
        assert store.cells(1) == [small.cell_record(export=1, convert=2)]
        assert store.cell_ids() == ["net/torch-1.2.0@9/old"]
        assert store.observations([2])[2].installed == {"onnx": "1.5.0"}
        new = small.cell_record(
            "net/torch-1.2.0@9/old+ir", base="net/torch-1.2.0@9/old", changes=(("a", "b"),), alter=(2,)
        )
        store.add_cells(1, [new])
        assert store.cells(1)[1] == new
    finally:
        store.close()
    with sqlite3.connect(path) as now:
        assert now.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)
    now.close()


def test_the_fake_workers_know_every_pass() -> None:
    """The tests above prove nothing of passes that the fakes do not know."""
    named = [one.name for kind in JOB_TYPES.values() for one in kind.passes]
    ours = [OnnxTf().converts, *OnnxTf().loads, OnnxTf().further("trace"), OnnxTf().further("coverage")]
    assert {*named, *(one.name for one in ours), "direct"} == set(GOOD)
