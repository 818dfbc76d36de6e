"""What a change makes of a cell. Pure: nothing runs here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small
from fakes import GOOD
from small import observation, passed, report

from matrix.answers.remedies.apply import Table, applied
from matrix.judging.cells import CellResult
from matrix.judging.finding import Finding
from matrix.judging.judge import Judgement
from matrix.judging.remedy_changes import Change
from matrix.judging.signature_file import Remedy
from matrix.planning import Selection, make_plan
from matrix.planning.cells import Cell
from matrix.table.model import Role

TABLE = small.changed(
    "  - id: new\n", "  - {id: mid, pins: {onnx-tf: 1.5.0, onnx: 1.5.0, tensorflow: 1.15.0}}\n  - id: new\n"
)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    config = small.config(tmp_path, TABLE)
    return Table(config, small.locks(config))


def cell(table: Table, exporter: str = "torch-2.13.0-dynamo", opset: int = 18, converter: str = "new") -> Cell:
    plan = make_plan(table.config, table.locks, Selection("full"), "cpu")
    name = f"net/{exporter}@{opset}/{converter}"
    return next(item for item in plan.cells if item.id == name)


def outcome(
    of: Cell,
    verdict: Any = "error",
    *changes: Change,
    role: Any = "converter",
    written: int | None = 18,
    ir: int | None = 10,
    facts: Mapping[str, Any] | None = None,
    reason: str = "a-reason",
    **more: Any,
) -> CellResult:
    """A result of a cell, whose reason has remedies with these changes."""
    remedies = tuple(Remedy(change.id, f"do {change.words}", change) for change in changes)
    facts = {"opset_written": written, "ir_version": ir, **(facts or {})}
    return CellResult(
        record=small.cell_record(of.id, base=of.base),
        export=observation("export", passed("export", report(*GOOD["export"], facts=facts)), id=1),
        reference=None,
        convert=None,
        judgement=Judgement(Finding(verdict, role, "check", reason), remedies=remedies, **more),
        versions={},
        distributions={},
        python="3.8",
        cached=False,
    )


IR = Change("ir_version", "table")
LOWER = Change("opset", "<={onnx_opset}")
OTHER = Change("opset", "!={opset}")
TRANSLATE = Change("convert_opset", "<={onnx_opset}")
SCRIPT = Change("via", "torchscript")
SIMPLIFY, RENAME = Change("simplify", True), Change("rename", True)
LEGACY = Change("environ", (("TF_USE_LEGACY_KERAS", "1"),))
OLD_PROTOBUF = Change("add", (("protobuf", "<4"),))
KERAS = Change("add", (("tf-keras", "~={tensorflow_minor}.0"),))


def made(of: Cell, change: Change, table: Table, **of_file: Any) -> tuple[Cell, str] | None:
    found = applied(of, change, outcome(of, **of_file), table)
    return None if found is None else (found, found.changes[-1].words)


# --- one change ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "wanted", "words"),
    [
        (IR, {"alterations": (("ir_version", 8),)}, "ir_version 10→8"),
        (Change("opset", "<20,>18"), None, ""),
        (TRANSLATE, {"alterations": (("opset", 15),)}, "version_converter 18→15"),
        (SIMPLIFY, {"alterations": (("simplify", True),)}, "onnxsim"),
        (RENAME, {"alterations": (("rename", True),)}, "valid names"),
        (LEGACY, {"environ": (("TF_USE_LEGACY_KERAS", "1"),)}, "TF_USE_LEGACY_KERAS=1"),
    ],
)
def test_a_change_to_the_file_or_its_surroundings(
    table: Table, change: Change, wanted: dict[str, Any] | None, words: str
) -> None:
    of = cell(table)
    found = made(of, change, table)
    if wanted is None:
        assert found is None
        return
    assert found is not None
    changed, said = found
    assert said == words
    assert replace(changed, base=None, changes=()) == replace(of, **wanted)
    assert changed.base == of.id and changed.id.startswith(f"{of.id}+")
    # Once more would change nothing.
    assert applied(changed, change, outcome(changed), table) is None


def test_a_lower_opset_is_the_highest_that_the_converter_knows_and_the_exporter_writes(table: Table) -> None:
    of = cell(table, "torch-2.13.0-torchscript", 18)
    found = made(of, LOWER, table)
    assert found is not None and (found[0].opset, found[1]) == (15, "opset 18→15")
    assert found[0].exporter == of.exporter and found[0].alterations == ()
    below = made(of, Change("opset", "<13"), table)
    assert below is not None and below[0].opset == 12
    # The dynamo exporter writes nothing below 18, whatever it is asked for.
    assert made(cell(table), LOWER, table) is None


def test_another_opset_is_neither_the_one_asked_for_nor_the_one_written(table: Table) -> None:
    of = cell(table, "torch-1.2.0", 9, "old")
    assert [
        found and found[0].opset for found in (made(of, OTHER, table, written=9), made(of, OTHER, table, written=10))
    ] == [10, 8]


def test_what_is_as_it_should_be_is_not_changed(table: Table) -> None:
    of = cell(table, "torch-1.2.0", 9, "old")
    assert made(of, IR, table, ir=5) is None and made(of, IR, table, ir=None) is None
    assert made(of, Change("convert_opset", "==10"), table, written=10) is None
    assert made(of, TRANSLATE, table, written=None) is None
    assert made(of, SCRIPT, table) is None  # it is one already
    assert made(of, OTHER, table, written=None) is None  # nobody knows other than what


def test_by_the_other_exporter(table: Table) -> None:
    found = made(cell(table), SCRIPT, table)
    assert found is not None
    changed, words = found
    # At opset 18 the converter's onnx would not know the file.
    assert (changed.exporter.id, changed.opset, words) == (
        "torch-2.13.0-torchscript",
        15,
        "TorchScript exporter at opset 15",
    )
    assert changed.id == "net/torch-2.13.0-dynamo@18/new+TorchScript-exporter-at-opset-15"


def test_an_added_package_makes_a_row_of_its_own_that_is_otherwise_the_same(table: Table) -> None:
    of = cell(table, "torch-1.2.0", 9, "new")
    table = Table(table.config, {**table.locks, "new": small.lock("new", python="3.7", as_of="2022-03-04")})
    found = made(of, OLD_PROTOBUF, table)
    assert found is not None
    changed, words = found
    row = changed.converter
    assert (row.id, row.add, row.pins) == ("new+protobuf-below-4", {"protobuf": "<4"}, of.converter.pins)
    assert (row.python, row.as_of, words) == ("3.7", dt.date(2022, 3, 4), "protobuf<4")
    assert (changed.exporter, changed.exporter_row) == (of.exporter, None)
    assert made(changed, OLD_PROTOBUF, table) is None
    # A second one is added to the first.
    more = made(changed, Change("add", (("numpy", ">=1.16,<1.24"), ("typeguard", "==2.*"))), table)
    assert more is not None
    assert more[0].converter.id == "new+protobuf-below-4+numpy-from-1.16-below-1.24+typeguard-2."
    assert more[0].converter.add == {"protobuf": "<4", "numpy": ">=1.16,<1.24", "typeguard": "==2.*"}
    assert (more[0].converter.python, more[0].converter.as_of) == ("3.7", dt.date(2022, 3, 4))


def test_a_package_of_this_tensorflow(table: Table) -> None:
    found = made(cell(table), KERAS, table)
    assert found is not None and found[0].converter.add == {"tf-keras": "~=2.8.0"}
    assert found[0].converter.id == "new+tf-keras-as-2.8.0"


def test_pins_of_the_row_stay(table: Table) -> None:
    assert made(cell(table), Change("add", (("tensorflow", "<2.8"),)), table) is None


def test_packages_are_added_where_it_failed(table: Table) -> None:
    of = cell(table, "torch-1.2.0", 9, "new")
    found = made(of, OLD_PROTOBUF, table, role="exporter")
    assert found is not None
    changed = found[0]
    assert changed.converter == of.converter and changed.exporter_row is not None
    assert (changed.exporter.row, changed.exporter_row.id) == ("torch-1.2.0+protobuf-below-4",) * 2
    assert changed.exporter_row.add == {"protobuf": "<4"}
    again = made(changed, Change("add", (("numpy", "<2"),)), table, role="exporter")
    assert again is not None and again[0].exporter_row is not None
    assert again[0].exporter_row.add == {"protobuf": "<4", "numpy": "<2"}


def test_what_is_in_one_environment_stays_in_one(table: Table) -> None:
    of = cell(table)
    of = replace(of, exporter=replace(of.exporter, row=of.converter.id))
    for role in ("exporter", "converter"):
        changed = applied(of, OLD_PROTOBUF, outcome(of), table, role=role)  # type: ignore[arg-type]
        assert changed is not None and changed.exporter.row == changed.converter.id == "new+protobuf-below-4"


def test_surroundings_are_set_for_the_converter_and_packages_not_for_the_reference(table: Table) -> None:
    """The reference environment is one for all cells, and an exporter's job is given no surroundings."""
    of = cell(table, "torch-1.2.0", 9, "new")
    wanted = {("environ", "converter"), ("add", "converter"), ("add", "exporter")}
    roles: tuple[Role | None, ...] = ("converter", "exporter", "reference", None)
    for change in (LEGACY, OLD_PROTOBUF):
        for role in roles:
            assert (made(of, change, table, role=role) is not None) is ((change.kind, role) in wanted), (change, role)
            # Where a part of a whole is made again, the role it had there counts, not where the bare cell failed.
            again = applied(of, change, outcome(of, role="reference"), table, role)
            assert (again is not None) is ((change.kind, role) in wanted), (change, role)
    # What is done to the file helps whoever reads it.
    assert made(cell(table), IR, table, role="reference") is not None


def test_a_file_is_translated_where_it_cannot_be_exported_again(table: Table, tmp_path: Path) -> None:
    from matrix.table.exporters import from_file

    of = replace(cell(table), exporter=from_file(table.config), opset=0)
    translated = made(of, LOWER, table)
    assert translated is not None and translated[0].alterations == (("opset", 15),)
    assert made(of, SCRIPT, table) is None
    found = made(of, TRANSLATE, table)
    assert found is not None and found[0].id == "net/file/new+version_converter-18-15"
