"""Ids: whatever is printed parses back to the same value, and what is no id is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.core.errors import UsageError
from matrix.table.ids import ArrayKey, CellId, EnvironmentName, RowId, by_case, environment_name

# What `Identifier` of matrix.yml allows; a time's label may hold the same.
names = st.text("abcXYZ019._-+", min_size=1, max_size=12)
rows = st.builds(RowId, names, st.one_of(st.just(""), st.just("now"), names))


@st.composite
def cells(draw: Any) -> CellId:
    via = draw(st.sampled_from(["exporter", "file", "direct"]))
    exporter = draw(rows) if via == "exporter" else RowId(via)
    opset = draw(st.integers(1, 99)) if via == "exporter" else None
    return CellId(draw(names), exporter, opset, draw(rows))


@given(rows)
def test_rows(row: RowId) -> None:
    assert RowId.parse(str(row)) == row
    assert row.own.time == "" and row.at("now").own == row.own


@given(cells())
def test_cells(cell: CellId) -> None:
    assert CellId.parse(str(cell)) == cell
    assert cell.own.moved is None and cell.own.own == cell.own


@given(cells(), names)
def test_what_a_search_did_for_a_cell(cell: CellId, search: str) -> None:
    text = f"{cell}+{search}"
    found = CellId.parse(text, str(cell))
    assert (str(found), found.search, found.model) == (text, search, cell.model)
    with pytest.raises(UsageError):
        CellId.parse(text, f"{cell}x")


@given(cells())
def test_cells_of_now(cell: CellId) -> None:
    moved = cell.of_now()
    assert [one.moved for one in moved] == ["converter", "exporter"][: 1 + cell.has_exporter]
    assert all(one.is_now and one.own == cell.own for one in moved)


@given(cells())
def test_a_model_that_was_only_read(cell: CellId) -> None:
    read = replace(cell, row=None, search="read")
    assert CellId.parse(str(read), str(replace(read, search=""))) == read
    with pytest.raises(UsageError):
        CellId.parse(str(replace(read, search="")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "net",
        "net/t/row",
        "net/t@x/row",
        "net/@9/row",
        "/t@9/r",
        "a/b@1/c/d",
        "n/t@007/r",
        "n/t@9/",
        "n/t@9/r~",
        "n/file/",
    ],
)
def test_what_is_no_cell(text: str) -> None:
    with pytest.raises(UsageError, match="is not the id of a cell"):
        CellId.parse(text)


@given(st.integers(0, 99), st.text(max_size=12))
def test_arrays(case: int, name: str) -> None:
    key = ArrayKey(str(case), name)
    assert ArrayKey.parse(str(key)) == key


def test_arrays_by_case_keep_their_order() -> None:
    assert by_case({"1/b": 1, "0/a/x": 2, "1/a": 3}) == {"1": {"b": 1, "a": 3}, "0": {"a/x": 2}}
    assert list(by_case({"1/b": 1, "0/a": 2, "1/a": 3})["1"]) == ["b", "a"]


def test_environments() -> None:
    assert environment_name("torch-2.13.0~now", ["cpu"], "cpu") == "torch-2.13.0~now.cpu"
    assert environment_name("torch-1.2.0", [], "cpu") == environment_name("torch-1.2.0", ["cpu"], None) == "torch-1.2.0"
    assert EnvironmentName.parse("torch-2.13.0~now.cpu") == EnvironmentName(RowId("torch-2.13.0", "now"), "cpu")
