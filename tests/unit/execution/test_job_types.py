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
    assert {kind.kind for kind in JOB_TYPES.values() if kind.is_source} == {"export", "forward", "inspect"}
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
    assert one.source.before is not None and after[one.source.before] == after[one.source]


def test_exports_of_a_model_by_one_environment_share_what_it_computes(table: Config) -> None:
    asked = plan(table, "exporter=torch-1.12.1", "model=net")
    graphs = Graphs(table, asked)
    exports = {graphs.of(cell).source for cell in asked.cells}
    assert len(exports) > 1 and len({export.before for export in exports}) == 1


def test_a_users_export_runs_the_model_itself(table: Config) -> None:
    """Its code may make another network whenever it is called."""
    asked = cell(table)
    theirs = replace(asked, model=asked.model.model_copy(update={"factory": "mine.py:build"}))
    source = Graphs(table, plan(table)).of(theirs).source
    assert source.before is None and source.alone


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
    assert [node.kind for node in graph.nodes] == ["forward", "export", "reference", "convert", "expose", "trace"]


def test_what_is_only_read_is_exported(table: Config) -> None:
    graph = Graphs(table, plan(table)).read(cell(table))
    assert [node.kind for node in graph.nodes] == ["forward", "export"]
