"""Shards of a plan: every cell once, the same cut everywhere, about equal durations."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import small
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix.app.sharding import measured, partition
from matrix.core.errors import UsageError
from matrix.planning import Plan, Selection, make_plan
from matrix.planning.cells import Cell
from matrix.planning.other_times import cells_of_now
from matrix.planning.shards import Costs, Partition, cut, shard_named
from matrix.store import Store


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    config = small.config(tmp_path_factory.mktemp("table"))
    return make_plan(config, small.locks(config), Selection("full"), None)


def many(plan: Plan, rows: int) -> tuple[Cell, ...]:
    """Copies of the plan's cells of one row, for this many rows."""
    mine = [cell for cell in plan.cells if cell.converter.id == "old"]
    made = [mine[0].converter.model_copy(update={"id": f"row{number:02}"}) for number in range(rows)]
    return tuple(Cell(cell.model, cell.exporter, cell.opset, row, cell.python) for row in made for cell in mine)


def ids(found: Partition) -> list[list[str]]:
    return [[cell.id for cell in shard.cells] for shard in found.shards]


@settings(deadline=None, max_examples=40)
@given(shards=st.integers(1, 40), seconds=st.lists(st.floats(0, 4000), max_size=60))
def test_every_cell_is_in_one_shard_and_keeps_its_place(plan: Plan, shards: int, seconds: list[float]) -> None:
    cells = many(plan, 5)
    costs = Costs({cell.id: each for cell, each in zip(cells, seconds, strict=False)})
    found = cut(cells, shards, costs)
    places = {cell.id: place for place, cell in enumerate(cells)}
    assert len(found.shards) == shards
    assert found.whole == len(cells)
    assert sorted(name for shard in ids(found) for name in shard) == sorted(places)
    for shard in ids(found):
        assert [places[name] for name in shard] == sorted(places[name] for name in shard)


def test_the_same_cut_whatever_the_order(plan: Plan) -> None:
    cells = many(plan, 7)
    costs = Costs({cell.id: float(len(cell.id) % 7) for cell in cells})
    one, two = cut(cells, 3, costs), cut(tuple(reversed(cells)), 3, costs)
    assert [sorted(shard) for shard in ids(one)] == [sorted(shard) for shard in ids(two)]
    assert one.digest == two.digest
    assert one.digest != cut(cells, 4, costs).digest
    assert one.part(one.shards[1]) == {"shard": "2/3", "partition": one.digest, "whole": len(cells)}


def test_a_row_is_in_one_shard_where_rows_are_small(plan: Plan) -> None:
    found = cut(many(plan, 8), 4, Costs())
    rows = [{cell.converter.id for cell in shard.cells} for shard in found.shards]
    assert [len(of_shard) for of_shard in rows] == [2, 2, 2, 2]
    assert len(set.union(*rows)) == 8


def test_a_row_of_now_stays_with_its_row(plan: Plan, tmp_path: Path) -> None:
    config = small.config(tmp_path)
    locks = small.locks(config)
    now = cells_of_now(
        plan.cells, {row.id: row for row in config.exporters}, lambda row: locks.get(row.id), dt.date(2026, 1, 1)
    )
    found = cut((*plan.cells, *now), 2, Costs())
    rows = [{cell.converter.id.partition("~")[0] for cell in shard.cells} for shard in found.shards]
    assert sorted(map(sorted, rows)) == [["new"], ["old"]]
    assert any("~" in cell.converter.id for cell in now)


def test_measured_seconds_balance(plan: Plan) -> None:
    cells = many(plan, 6)
    # The last row takes as long as all others together.
    costs = Costs(
        {cell.id: 500.0 if cell.converter.id == "row05" else 100.0 for cell in cells},
        {(cell.model.id, cell.exporter.id, cell.opset): 0.0 for cell in cells},
    )
    first, second = (shard for shard in cut(cells, 2, costs).shards)
    assert max(first.seconds, second.seconds) / min(first.seconds, second.seconds) < 1.1
    assert {len({cell.converter.id for cell in shard.cells}) for shard in (first, second)} == {1, 5}


def test_a_heavy_row_is_split_by_model(plan: Plan) -> None:
    cells = many(plan, 1)
    found = cut(cells, 2, Costs())
    models = [{cell.model.id for cell in shard.cells} for shard in found.shards]
    assert sorted(map(sorted, models)) == [["net"], ["other"]]


def test_more_shards_than_there_is_to_deal_out(plan: Plan) -> None:
    found = cut(many(plan, 1), 5, Costs())
    assert [bool(shard.cells) for shard in found.shards] == [True, True, False, False, False]
    assert cut((), 3, Costs()).whole == 0


def test_unmeasured_cells_count_as_the_median_of_their_row(plan: Plan) -> None:
    cells = many(plan, 2)
    row = [cell for cell in cells if cell.converter.id == "row00"]
    other = [cell for cell in cells if cell.converter.id == "row01"]
    nothing = {(cell.model.id, cell.exporter.id, cell.opset): 0.0 for cell in cells}
    known = {row[0].id: 100.0, other[0].id: 90.0}
    seconds = {shard.cells[0].converter.id: shard.seconds for shard in cut(cells, 2, Costs(known, nothing)).shards}
    assert seconds["row00"] - 20 == pytest.approx(100.0 * len(row))
    assert seconds["row01"] - 20 == pytest.approx(90.0 * len(other))


@pytest.mark.parametrize("text", ["", "0/4", "5/4", "1", "a/b", "1/4/4", "-1/4", "1 / 4", "1/99999999"])
def test_what_names_no_shard(text: str) -> None:
    with pytest.raises(UsageError, match="I/N"):
        shard_named(text)


def test_what_names_a_shard() -> None:
    assert shard_named("2/8") == (2, 8)


def test_seconds_are_read_from_history(plan: Plan, tmp_path: Path) -> None:
    store = Store("sqlite://", tmp_path / "blobs")
    run = store.begin_run("full", "venv", "", 1, {})

    def add(kind: str, *passes: float) -> int:
        seen = small.observation(kind, *(small.passed() for _ in passes))  # type: ignore[arg-type]
        return store.add(run, seen, True, None)

    export, reference, convert = add("export", 1), add("reference", 1), add("convert", 1, 1)
    cells = [cell for cell in plan.cells if cell.converter.id == "old"][:3]
    facts = {"exporter": cells[0].exporter.id, "opset": cells[0].opset, "export": export}
    records = [
        small.cell_record(cells[0].id, reference=reference, convert=convert, **facts),
        small.cell_record(cells[1].id, **{**facts, "opset": cells[1].opset}),
    ]
    store.add_cells(run, records)
    found = measured(store, cells)
    assert found.cells == {cells[0].id: 2.0, cells[1].id: 0.0}
    assert found.exports[("net", cells[0].exporter.id, cells[0].opset)] == 2.0
    store.close()


def test_a_matrix_has_an_end(tmp_path: Path, plan: Plan) -> None:
    with pytest.raises(UsageError, match="256"):
        partition(None, None, plan, "then", None, 257)  # type: ignore[arg-type]
