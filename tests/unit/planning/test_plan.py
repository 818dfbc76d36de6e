"""Plans: from a table and locks to cells."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
import small
from small import changed

from matrix.core.errors import NothingSelected, UsageError
from matrix.planning import Plan, Selection, make_plan, with_pins
from matrix.table import Config, ConverterRow, ExporterRow, TorchRelease
from matrix.table.exporters import expand
from matrix.table.model import ModelSpec, OnnxRelease, Packaged, Tier
from matrix.table.selectors import from_text


@pytest.fixture
def table(tmp_path: Path) -> Config:
    return small.config(tmp_path)


def plan(table: Config, tier: str, *only: str, build: str | None = None) -> Plan:
    return make_plan(table, small.locks(table), Selection(tier, tuple(map(from_text, only))), build)


def ids(found: Plan) -> list[str]:
    return [cell.id for cell in found.cells]


# --- exporters -------------------------------------------------------------------------------------------------------


def test_a_row_with_two_exporters_is_two_exporters(table: Config) -> None:
    assert [(e.id, e.row, e.via) for e in expand(table)] == [
        ("torch-1.2.0", "torch-1.2.0", "torchscript"),
        ("torch-1.12.1", "torch-1.12.1", "torchscript"),
        ("torch-2.13.0-torchscript", "torch-2.13.0", "torchscript"),
        ("torch-2.13.0-dynamo", "torch-2.13.0", "dynamo"),
    ]


def test_the_dynamo_exporter_is_asked_for_more_than_it_writes(table: Config) -> None:
    script, dynamo = expand(table)[2:]
    assert (script.askable, script.writable) == (range(7, 21), range(7, 21))
    assert (dynamo.askable, dynamo.writable) == (range(7, 24), range(18, 24))
    assert dynamo.current and not expand(table)[0].current


# --- tiers -----------------------------------------------------------------------------------------------------------


def test_full_is_every_exporter_opset_converter_and_model(table: Config) -> None:
    opsets = (10 - 7 + 1) + (16 - 7 + 1) + (20 - 7 + 1) + (23 - 7 + 1)
    cells = ids(plan(table, "full"))
    assert len(cells) == len(set(cells)) == opsets * 2 * 2


def test_nearest_takes_the_exporter_of_the_rows_time_at_the_newest_opset_both_know(table: Config) -> None:
    # new: as of 2022-02-16, its onnx knows opset 15; torch 1.12.1 is nearest and writes up to 16.
    assert ids(plan(table, "quick")) == ["net/torch-1.12.1@15/new", "other/torch-1.12.1@15/new"]


def test_nearest_passes_over_what_writes_nothing_the_converter_knows(tmp_path: Path) -> None:
    text = changed("released: 2022-08-05, opsets: [7, 16]", "released: 2022-08-05, opsets: [16, 16]")
    text = changed('opset: "<=8"', "opset: 16", text)
    assert ids(plan(small.config(tmp_path, text), "quick", "model=net")) == ["net/torch-1.2.0@10/new"]


def test_nearest_does_not_take_what_came_years_later(tmp_path: Path) -> None:
    # torch 2.13.0 is made the nearer one in days, but it is three years late.
    text = changed("released: 2026-07-08", "released: 2025-03-01")
    text = changed("released: 2022-08-05", "released: 2018-01-01", text)
    text = changed("released: 2019-08-08", "released: 2017-01-01", text)
    assert ids(plan(small.config(tmp_path, text), "quick", "model=net")) == ["net/torch-1.12.1@15/new"]


def test_documented_is_the_exporters_of_a_years_distance_and_the_current_one(table: Config) -> None:
    found = plan(table, "documented", "converter=old", "model=net")
    # old: as of 2019-08-20, its onnx knows opset 10.
    assert ids(found) == [
        *(f"net/torch-1.2.0@{opset}/old" for opset in (7, 8, 9, 10)),
        *(f"net/torch-2.13.0-torchscript@{opset}/old" for opset in (7, 8, 9, 10, 11)),
        "net/torch-2.13.0-dynamo@18/old",
    ]


@pytest.mark.parametrize(("released", "within"), [("2020-08-20", True), ("2020-08-22", False), ("2018-08-19", True)])
def test_a_years_distance(tmp_path: Path, released: str, within: bool) -> None:
    text = changed("released: 2019-08-08", f"released: {released}")
    found = ids(plan(small.config(tmp_path, text), "documented", "converter=old", "model=net"))
    assert ("net/torch-1.2.0@9/old" in found) is within


def test_stated_cells(table: Config) -> None:
    assert ids(plan(table, "known")) == [
        "net/torch-1.2.0@9/old",
        "net/torch-1.2.0@10/old",
        *(f"net/torch-1.12.1@{opset}/{row}" for row in ("old", "new") for opset in (7, 8)),
    ]


def test_a_cell_stated_twice_is_planned_once(tmp_path: Path) -> None:
    text = changed('{torch: "==1.12.*", opset: "<=8"', "{exporter: torch-1.2.0, opset: 9")
    found = ids(plan(small.config(tmp_path, text), "known"))
    assert found == ["net/torch-1.2.0@9/old", "net/torch-1.2.0@10/old", "net/torch-1.2.0@9/new"]


# --- narrowing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("only", "count"),
    [
        (["model=net"], 90),
        (["converter=old"], 90),
        (["onnx-tf>=1.8"], 90),
        (["torch==1.2.0"], 16),
        (["torch==1.2.0", "opset=9"], 4),
        (["opset=9", "opset=10"], 32),  # the same key widens
        (["via=dynamo"], 68),
        (["python==3.9"], 90),
        (["cell=net/torch-1.2.0@9/old"], 1),
        (["net/torch-1.2.0@9/*"], 2),
        (["old"], 90),
        (["onnx-tf>=1.8", "model=net", "exporter=torch-1.12.1", "opset>=15"], 2),
    ],
)
def test_only(table: Config, only: list[str], count: int) -> None:
    assert len(plan(table, "full", *only).cells) == count


def test_only_narrows_stated_cells_too(table: Config) -> None:
    assert ids(plan(table, "known", "opset=8", "converter=new")) == ["net/torch-1.12.1@8/new"]
    assert ids(plan(table, "known", "cell=*@7/new")) == ["net/torch-1.12.1@7/new"]


@pytest.mark.parametrize("only", ["opset=99", "converter=none", "tensorflow==9", "model=nothing", "numpy>=1", "x"])
@pytest.mark.parametrize("tier", ["quick", "documented", "full", "known"])
def test_nothing_selected(table: Config, tier: str, only: str) -> None:
    with pytest.raises(NothingSelected, match=tier):
        plan(table, tier, only)


def test_an_unknown_tier_names_the_known_ones(table: Config) -> None:
    with pytest.raises(UsageError, match="quick, documented, full, known"):
        plan(table, "fast")


# --- what locks decide -----------------------------------------------------------------------------------------------


def test_python_and_date_come_from_the_lock(table: Config) -> None:
    locks = small.locks(table)
    locks["new"] = replace(locks["new"], python="3.8", as_of=dt.date(2019, 8, 20))
    found = make_plan(table, locks, Selection("quick"), None)
    assert {cell.python for cell in found.cells} == {"3.8"}
    assert found.cells[0].exporter.id == "torch-1.2.0"


def test_a_row_without_lock_is_said(table: Config) -> None:
    locks = small.locks(table)
    del locks["new"]
    found = make_plan(table, locks, Selection("quick"), None)
    assert "new has no lock yet" in found.notes[0]
    assert found.cells[0].python == "" and found.cells[0].exporter.current


def test_environments_of_a_plan(table: Config) -> None:
    found = plan(table, "full", "model=net", "opset=18", build="cpu")
    assert found.environments("reference") == ("torch-2.13.0.cpu", "reference", "old", "new")
    # The build is chosen by the table, whether it is locked already or not.
    assert replace(found, builds={}).environments("reference")[0] == "torch-2.13.0"


# --- pure and quick --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", ["quick", "documented", "full", "known"])
def test_the_same_input_gives_the_same_bytes(tmp_path: Path, tier: str) -> None:
    first, second = plan(small.config(tmp_path), tier), plan(small.config(tmp_path), tier)
    assert repr(first).encode() == repr(second).encode()


def test_a_table_of_100_000_cells(table: Config) -> None:
    releases = tuple(
        TorchRelease(version=f"1.{n}.0", released=dt.date(2019, 1, 1) + dt.timedelta(days=90 * n), opsets=(7, 16))
        for n in range(20)
    )
    exporters = tuple(ExporterRow(id=f"torch-{r.version}", pins={"torch": r.version}) for r in releases)
    onnx = tuple(OnnxRelease(version=f"1.{n}.0", ir=3, opset=7 + n % 12, ml_opset=1) for n in range(50))
    converters = tuple(
        ConverterRow(
            id=f"row{n}",
            pins={"onnx-tf": "1.10.0", "onnx": onnx[n % 50].version, "tensorflow": f"2.{n % 17}.0"},
            as_of=dt.date(2020, 1, 1) + dt.timedelta(days=n),
        )
        for n in range(500)
    )
    big = table.model_copy(
        update={"torch": releases, "exporters": exporters, "onnx": onnx, "converters": converters,
                "models": table.models[:1]}
    )  # fmt: skip
    cells = make_plan(big, {}, Selection("full"), None).cells
    assert len(cells) == len({cell.id for cell in cells}) == 100_000


# --- combinations that are no row ------------------------------------------------------------------------------------


def test_with_alters_the_rows_on_both_sides(table: Config) -> None:
    varied, made = with_pins(table, {"tensorflow": "2.3.1"})
    assert set(made) == {"old+tensorflow2.3.1", "new+tensorflow2.3.1"}
    old, new = sorted(varied.converters[-2:], key=lambda row: row.id, reverse=True)
    assert new.pins == {"onnx-tf": "1.10.0", "onnx": "1.10", "tensorflow": "2.3.1"}
    # The row's own Python and date belong to its own pins.
    assert (old.python, old.as_of) == (None, None)


def test_with_at_the_end_of_the_table_alters_one_row(table: Config) -> None:
    assert with_pins(table, {"tensorflow": "2.9.1"})[1] == ("new+tensorflow2.9.1",)
    assert with_pins(table, {"tensorflow": "1.5.0"})[1] == ("old+tensorflow1.5.0",)


def test_with_what_is_a_row_already(table: Config) -> None:
    varied, made = with_pins(table, {"tensorflow": "2.8.0", "onnx": "1.10"})
    assert made == ("new",) and varied.converters == table.converters


def test_with_shares_as_many_pins_as_it_can(table: Config) -> None:
    # In TensorFlow the old row is the nearer one, but it shares one pin, the new one two.
    pins = {"onnx": "1.10", "onnx-tf": "1.10.0", "tensorflow": "1.13.2"}
    assert with_pins(table, pins)[1][0] == "new+tensorflow1.13.2"


def test_with_torch_makes_an_exporter(table: Config) -> None:
    assert with_pins(table, {"torch": "1.12.1", "tensorflow": "2.9.1"})[1] == ("new+tensorflow2.9.1", "torch-1.12.1")
    fewer = table.model_copy(update={"exporters": table.exporters[::2]})
    varied, made = with_pins(fewer, {"torch": "1.12.1"})
    # Both sides lead to the same pins, so one of them is enough.
    assert len(made) == 1
    # The newer row has a dynamo exporter, this torch has none.
    row = varied.exporters[-1]
    assert (row.current, row.builds, row.via) == (False, {}, ("torchscript",))


def test_with_a_torch_that_has_dynamo_keeps_it(tmp_path: Path) -> None:
    more = "torch:\n  - {version: 2.12.0, released: 2026-06-01, opsets: [7, 20], dynamo: [18, 23]}\n"
    table = small.config(tmp_path, changed("torch:\n  - {version: 1.2.0", more + "  - {version: 1.2.0"))
    varied, _ = with_pins(table, {"torch": "2.12.0"})
    assert {row.via for row in varied.exporters if row.id == "torch-2.13.0+torch2.12.0"} == {("torchscript", "dynamo")}


@pytest.mark.parametrize(
    ("pins", "words"),
    [({"jax": "0.4"}, "no row pins jax"), ({"onnx": "9.9"}, "onnx 9.9 is not in"), ({"torch": "9.9"}, "torch 9.9")],
)
def test_with_what_cannot_be(table: Config, pins: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        with_pins(table, pins)


def test_with_makes_no_two_rows_of_the_same_pins(table: Config) -> None:
    # Two rows with one lock would be one environment, built and removed under each other's feet.
    varied, made = with_pins(table, {"onnx-tf": "1.5.0", "onnx": "1.10", "tensorflow": "2.3.1"})
    assert len({tuple(sorted(row.pins.items())) for row in varied.converters}) == len(varied.converters)
    assert len(made) == 1


def test_models_of_packages_are_in_the_tiers_that_ask_for_them(table: Config) -> None:
    package = Packaged(name="tool", version="1", file="tool/net.onnx", sha256="0" * 64, licence="MIT")
    wild = Tier(about="files of packages", rule="nearest", packaged=True)
    more = table.model_copy(
        update={
            "models": (*table.models, ModelSpec(id="tool-net", package=package)),
            "tiers": {**table.tiers, "wild": wild},
        }
    )
    assert ids(plan(more, "wild")) == ["tool-net/file/old", "tool-net/file/new"]
    assert ids(plan(more, "full")) == ids(plan(table, "full"))
