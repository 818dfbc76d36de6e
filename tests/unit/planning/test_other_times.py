"""Cells at another time, a cell by its id, and packages that a row leaves open."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
import small

from matrix.core.errors import ConfigError, UsageError
from matrix.environments.locks.request import make_request
from matrix.packages.versions import release_of, version_of
from matrix.planning import Plan, Selection, make_plan
from matrix.planning.cells import cell_named
from matrix.planning.other_times import cells_of_now, moved_cell, moved_row
from matrix.table import Config
from matrix.table.ids import NOW, CellId, EnvironmentName, RowId
from matrix.table.model import ConverterRow, ExporterRow, Row
from matrix.table.selectors import from_text

DAY = dt.date(2026, 11, 24)


@pytest.fixture
def table(tmp_path: Path) -> Config:
    return small.config(tmp_path)


def plan(table: Config, tier: str, *only: str) -> Plan:
    return make_plan(table, small.locks(table), Selection(tier, tuple(map(from_text, only))), None)


def row(table: Config, name: str) -> Row:
    return next(item for item in (*table.exporters, *table.converters) if item.id == name)


def converter(table: Config, name: str) -> ConverterRow:
    found = row(table, name)
    assert isinstance(found, ConverterRow)
    return found


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "own", "side"),
    [
        ("net/torch-1.2.0@9/old", "net/torch-1.2.0@9/old", None),
        ("net/torch-1.2.0@9/old~now", "net/torch-1.2.0@9/old", "converter"),
        ("net/torch-1.2.0@9/old~2022-06-10+protobuf-below-4", "net/torch-1.2.0@9/old", "converter"),
        ("net/torch-1.2.0~now@9/old", "net/torch-1.2.0@9/old", "exporter"),
        ("net/torch-2.13.0-dynamo~2022-06-10@18/new", "net/torch-2.13.0-dynamo@18/new", "exporter"),
        ("net/file/old~now", "net/file/old", "converter"),
    ],
)
def test_a_name_says_which_environment_is_of_another_time(name: str, own: str, side: str | None) -> None:
    cell = CellId.parse(name)
    assert (str(cell), str(cell.own), cell.moved) == (name, own, side)


def test_the_name_of_a_moved_environment() -> None:
    for name, stem, time, build in [
        ("old~now", "old", "now", ""),
        ("torch-2.13.0~now.cpu", "torch-2.13.0", "now", "cpu"),
        ("torch-2.13.0.cpu", "torch-2.13.0.cpu", "", ""),
        ("old~2022-06-10+numpy-below-1.24", "old", "2022-06-10+numpy-below-1.24", ""),
    ]:
        found = EnvironmentName.parse(name)
        assert (str(found), found.row, found.build) == (name, RowId(stem, time), build)


def test_the_cells_of_now_of_a_cell_and_back(table: Config) -> None:
    for cell in plan(table, "full").cells:
        both = CellId.parse(cell.id).of_now()
        assert [one.moved for one in both] == ["converter", "exporter"]
        assert {str(one.own) for one in both} == {cell.id}
        assert {one.of_now() for one in both} == {both}


def test_a_file_has_no_exporter_of_now() -> None:
    assert [str(one) for one in CellId.parse("net/file/old").of_now()] == ["net/file/old~now"]


def test_ids_are_those_of_the_cells_that_are_made(table: Config) -> None:
    locks = small.locks(table)
    exporters = {item.id: item for item in table.exporters}
    cells = plan(table, "full", "opset==18").cells
    made = {cell.id for cell in cells_of_now(cells, exporters, lambda one: locks.get(one.id), DAY)}
    assert made <= {name for cell in cells for name in map(str, CellId.parse(cell.id).of_now())}


# --- rows ------------------------------------------------------------------------------------------------------------


def test_a_moved_row_keeps_its_pins_and_its_rules(table: Config) -> None:
    new = row(table, "new")
    moved = moved_row(new, NOW, DAY, "3.9", {"protobuf": "<4"})
    assert (moved.id, moved.as_of, moved.python, moved.pins, moved.add) == ("new~now", DAY, "3.9", new.pins, new.add)
    asked, then = make_request(table, moved), make_request(table, new)
    assert asked.requirements == then.requirements and "tensorflow-addons==0.16.1" in asked.requirements
    assert (asked.name, asked.as_of, asked.python) == ("new~now", DAY, "3.9")
    assert (asked.constraints, then.constraints) == (("protobuf<4",), ())
    assert (new.as_of, new.within) == (None, {})


def test_further_ranges_come_beside_those_of_the_row(table: Config) -> None:
    bounded = row(table, "new").model_copy(update={"within": {"numpy": "<2", "six": "<2"}})
    asked = make_request(table, moved_row(bounded, NOW, DAY, "3.9", {"protobuf": "<4", "numpy": "<1.24"}))
    assert asked.constraints == ("numpy<1.24", "protobuf<4", "six<2")
    # An empty one asks for nothing.
    assert make_request(table, moved_row(bounded, NOW, DAY, "3.9", {"numpy": ""})).constraints == ("six<2",)


def test_a_range_that_holds_where_needed_is_another_lock(table: Config) -> None:
    plain = moved_row(row(table, "new"), NOW, DAY, "3.9")
    digests = {
        make_request(table, moved).digest
        for moved in (plain, moved_row(plain, "x", DAY, "3.9", {"numpy": "<2"}), moved_row(plain, "y", DAY, "3.8"))
    }
    assert len(digests) == 3


def test_a_row_without_companions_is_asked_for_as_it_stands(table: Config) -> None:
    bare = row(table, "new").model_copy(update={"companions": False})
    assert make_request(table, bare).requirements == ("onnx-tf==1.10.0", "onnx==1.10", "tensorflow==2.8.0")


# --- cells -----------------------------------------------------------------------------------------------------------


def test_one_environment_of_a_cell_is_moved(table: Config) -> None:
    (cell,) = plan(table, "known", "opset=9").cells
    moved = moved_cell(cell, moved_row(converter(table, "old"), NOW, DAY, "3.8"))
    assert (moved.id, moved.converter.as_of, moved.exporter) == ("net/torch-1.2.0@9/old~now", DAY, cell.exporter)
    torch = row(table, "torch-1.2.0")
    assert isinstance(torch, ExporterRow)
    moved = moved_cell(cell, moved_row(torch, NOW, DAY, "3.9"))
    assert (moved.id, moved.exporter.row, moved.exporter_row) == (
        "net/torch-1.2.0~now@9/old",
        "torch-1.2.0~now",
        moved_row(torch, NOW, DAY, "3.9"),
    )
    assert moved.converter == cell.converter and moved.exporter.torch == cell.exporter.torch


def test_every_cell_has_a_converter_of_now_and_every_export_one_exporter(table: Config) -> None:
    locks = small.locks(table)
    cells = plan(table, "full").cells
    exporters = {item.id: item for item in table.exporters}
    made = cells_of_now(cells, exporters, lambda one: locks.get(one.id), DAY)
    converters = [cell for cell in made if CellId.parse(cell.id).moved == "converter"]
    exported = [cell for cell in made if CellId.parse(cell.id).moved == "exporter"]
    assert [str(CellId.parse(cell.id).own) for cell in converters] == [cell.id for cell in cells]
    exports = {(cell.model.id, cell.exporter.id, cell.opset) for cell in cells}
    assert len(exported) == len(exports) < len(cells)
    assert {str(CellId.parse(cell.id).own).rpartition("/")[0] for cell in exported} == {
        f"{m}/{e}@{o}" for m, e, o in exports
    }
    # Two exporters of one row share its environment of now.
    assert {cell.exporter.row for cell in exported if cell.exporter.torch == "2.13.0"} == {"torch-2.13.0~now"}


def test_the_python_of_then_stays(table: Config) -> None:
    locks = {**small.locks(table), "new": small.lock("new", python="3.8")}
    cells = plan(table, "quick", "model=net").cells
    made = cells_of_now(cells, {}, lambda one: locks.get(one.id), DAY)
    assert {cell.converter.python for cell in made if cell.converter.id == "new~now"} == {"3.8"}
    assert not [
        cell for cell in made if CellId.parse(cell.id).moved == "exporter"
    ]  # of exporters that are not in the table


def test_there_is_no_now_before_the_time_of_a_row_nor_without_its_lock(table: Config) -> None:
    cells = plan(table, "known").cells
    exporters = {item.id: item for item in table.exporters}
    locks = {"old": small.lock("old", as_of="2022-02-16"), "torch-1.2.0": small.lock("torch-1.2.0")}

    def made(day: str) -> set[str]:
        found = cells_of_now(cells, exporters, lambda one: locks.get(one.id), dt.date.fromisoformat(day))
        return {part for cell in found for part in (cell.converter.id, cell.exporter.row) if RowId.parse(part).time}

    assert made("2022-02-15") == set()
    assert made("2022-02-16") == {"old~now", "torch-1.2.0~now"}


# --- a cell by its name ----------------------------------------------------------------------------------------------


def test_a_cell_is_found_by_its_name_whatever_tier_it_is_in(table: Config) -> None:
    locks = small.locks(table)
    for cell in plan(table, "full").cells:
        assert cell_named(table, locks, cell.id) == cell


def test_a_cell_of_a_file(table: Config) -> None:
    given = table.models[0].model_copy(update={"id": "mine", "factory": None, "onnx": "net.onnx", "builder": None})
    config = table.model_copy(update={"models": (*table.models, given)})
    found = cell_named(config, small.locks(table), "mine/file/new")
    assert (found.id, found.exporter.via, found.python) == ("mine/file/new", "file", "3.9")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("net/torch-1.2.0@9", "is not the id of a cell"),
        ("net/torch-1.2.0/old", "is not the id of a cell"),
        ("net/torch-1.2.0@nine/old", "is not the id of a cell"),
        ("net", "is not the id of a cell"),
        ("nut/torch-1.2.0@9/old", "no model 'nut'; it has: net, other"),
        ("net/torch-9@9/old", "no exporter 'torch-9'"),
        ("net/torch-1.2.0@9/older", "no converter 'older'; it has: old, new"),
        ("net/torch-1.2.0@11/old", "takes opsets 7 to 10"),
        ("net/torch-2.13.0@10/old", "no exporter 'torch-2.13.0'"),
    ],
)
def test_a_name_the_table_does_not_have(table: Config, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        cell_named(table, {}, name)


# --- what a row leaves open ------------------------------------------------------------------------------------------


def test_the_version_of_an_open_package_is_in_the_lock(table: Config) -> None:
    pins = {"onnx-tf": "1.10.0", "tensorflow": "2.8.0"}
    bare = converter(table, "new").model_copy(update={"id": "bare", "pins": pins, "companions": False})
    assert version_of(bare, "onnx", {}) is None
    locks = {"bare": small.lock("bare", body=f"onnx==1.9.0 \\\n    {small.HASH}\n")}
    assert version_of(bare, "onnx", locks) == "1.9.0"
    assert version_of(bare, "tensorflow", {}) == "2.8.0"
    # A pin is a pin, whatever a stale lock says.
    assert version_of(converter(table, "new"), "onnx", {"new": locks["bare"]}) == "1.10"
    assert release_of(table, bare, "onnx", locks).version == "1.5.0"  # the newest in the table that is not newer
    assert release_of(table, bare, "onnx", {}).version == "1.5.0"
    locks = {"bare": small.lock("bare", body=f"onnx==1.22.0 \\\n    {small.HASH}\n")}
    assert release_of(table, bare, "onnx", locks).version == "1.10"


# --- rows without companions -----------------------------------------------------------------------------------------

BARE = small.changed(
    "models:\n  - id: net",
    "  - {id: bare, pins: {onnx-tf: 1.10.0, tensorflow: 2.8.0}, companions: false}\nmodels:\n  - id: net",
)


def test_a_row_without_companions_is_in_no_tier_that_does_not_name_it(tmp_path: Path) -> None:
    table = small.config(tmp_path, BARE)
    assert "bare" not in {cell.converter.id for cell in plan(table, "full").cells}
    assert {cell.converter.id for cell in plan(table, "full", "converter=bare").cells} == {"bare"}
    text = small.changed("full: {about: everything, rule: full}", "full: {about: all, rule: full, bare: true}", BARE)
    assert "bare" in {cell.converter.id for cell in plan(small.config(tmp_path, text), "full").cells}
    text = small.changed("converters: [new]}", "converters: [new, bare]}", BARE)
    assert "bare" in {cell.converter.id for cell in plan(small.config(tmp_path, text), "quick").cells}
    # A pattern that happens to match does not name a cell.
    assert "bare" not in {cell.converter.id for cell in plan(table, "known").cells}


def test_a_tier_of_stated_cells_names_it_too(tmp_path: Path) -> None:
    old = "{exporter: torch-1.2.0, opset: [9, 10], converter: old}"
    table = small.config(tmp_path, small.changed(old, old.replace("old", "bare"), BARE))
    assert "net/torch-1.2.0@9/bare" in [cell.id for cell in plan(table, "known").cells]


def test_only_a_row_without_companions_may_leave_onnx_open(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bare must pin onnx"):
        small.config(tmp_path, small.changed(", companions: false", "", BARE))
    with pytest.raises(ConfigError, match="bare must pin tensorflow"):
        small.config(tmp_path, small.changed("tensorflow: 2.8.0}, companions", "onnx: 1.10}, companions", BARE))


def test_a_rule_that_only_a_row_without_companions_fulfils_matches_nothing(tmp_path: Path) -> None:
    text = small.changed("onnx-tf: 1.10.0, tensorflow", "onnx-tf: 1.9.0, tensorflow", BARE)
    rule = '  - {when: {onnx-tf: "==1.9.0"}, add: {six: "<2"}, why: x}\nonnx:\n'
    with pytest.raises(ConfigError, match="this rule matches no row"):
        small.config(tmp_path, small.changed("onnx:\n", rule, text))
