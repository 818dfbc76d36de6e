"""A project: immutable views of one table, and what a command adds to it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import small

from matrix.app.project import Project
from matrix.packages.index import IndexSettings
from matrix.store.state import State


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(small.table(tmp_path), State(tmp_path / "state"), IndexSettings())


def test_a_project_cannot_be_changed(project: Project) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        project.tier = "full"  # type: ignore[misc]


def test_another_selection_of_the_same_table_does_not_read_it_again(project: Project) -> None:
    read = project.stated
    project.table.unlink()
    other = project.selecting(tier="full", with_=("tensorflow==2.11.0",))
    assert other.stated is read and other.tier == "full"
    assert len(other.config.converters) > len(project.config.converters)


def test_each_view_of_the_table_has_the_rows_of_the_one_before(project: Project) -> None:
    row = project.stated.converters[0]
    candidate, single = (row.model_copy(update={"id": name}) for name in ("candidate", "single"))
    project.added.candidates[candidate.id] = candidate
    project.added.searched[single.id] = single
    views = (project.stated, project.offered, project.config)
    assert [candidate in view.converters for view in views] == [False, True, True]
    assert [single in view.converters for view in views] == [False, False, True]


def test_locks_that_are_used_are_kept_beside_those_that_were_read(project: Project) -> None:
    assert project.locks == {}
    row = project.stated.converters[0]
    lock = small.lock(row.id, "converter")
    project.use([lock])
    assert project.lock_of(row) == lock and project.locks == {row.id: lock}
