"""The table of job types, and the graph of a cell's jobs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import small

from matrix.execution.graph import Graphs, environments_after
from matrix.execution.job_types import JOB_TYPES
from matrix.planning import Plan, Selection, make_plan
from matrix.planning.cells import Cell
from matrix.table import Config
from matrix.table.selectors import from_text


@pytest.fixture
def table(tmp_path: Path) -> Config:
    return small.config(tmp_path)


def plan(table: Config, *only: str) -> Plan:
    return make_plan(table, small.locks(table), Selection("full", tuple(map(from_text, only))), None)


def cell(table: Config) -> Cell:
    return plan(table, "opset==9", "converter=old", "exporter=torch-1.2.0", "model=net").cells[0]


def test_every_kind_can_be_reached() -> None:
    """Every kind of job that may come before another leaves the files that the other takes."""
    assert {"export", "forward", "inspect"} == SOURCES
    for kind in JOB_TYPES.values():
        wanted = {take.of for take in kind.takes if take.of}
        assert bool(kind.after) == bool(wanted)
        for name in kind.after:
            left = {file for one in JOB_TYPES[name].passes for file in one.leaves}
            assert wanted <= left, (kind.kind, name)


def test_cells_share_what_they_have_in_common(table: Config) -> None:
    asked = plan(table, "opset==9", "exporter=torch-1.2.0", "model=net")
    graphs = Graphs(table, asked)
    one, two = (graphs.of(cell) for cell in asked.cells)
    assert one.source is two.source and one.further["reference"] is two.further["reference"]
    assert one.further["convert"] is not two.further["convert"]
    after = environments_after([one, two])
    assert list(after[one.source]) == ["reference", "old", "new"]


def test_alterations_come_one_after_the_other(table: Config) -> None:
    changed = replace(cell(table), alterations=(("rename", True), ("ir_version", 3)))
    graph = Graphs(table, plan(table)).of(changed)
    first, second = graph.alter
    assert (first.before, second.before) == (graph.source, first)
    assert {node.before for node in graph.further.values()} == {second}
    assert second.params == {"change": {"ir_version": 3}}


def test_a_search_for_the_node_exposes_before_it_traces(table: Config) -> None:
    graph = Graphs(table, plan(table)).of(replace(cell(table), locate=2))
    assert graph.further["trace"].before is graph.further["expose"]
    assert [node.kind for node in graph.nodes] == ["export", "reference", "convert", "expose", "trace"]


def test_what_is_only_read_is_one_job(table: Config) -> None:
    graph = Graphs(table, plan(table)).read(cell(table))
    assert [node.kind for node in graph.nodes] == ["export"]
