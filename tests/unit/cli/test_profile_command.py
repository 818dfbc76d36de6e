"""`profile`: where the time of a stored run went."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from test_cli import Project, project

from matrix.core import errors
from matrix.store.records import RunRecord
from matrix.store.state import State

__all__ = ["project"]


def records(project: Project) -> list[RunRecord]:
    store = State(project.root / ".matrix").open_store(None)
    try:
        return store.runs()
    finally:
        store.close()


def test_a_new_run(project: Project) -> None:
    ran = project.json("run", "--tier", "known", "--jobs", "2")
    found = project.json("profile")
    assert (found["run"], found["jobs"]) == (ran["run"], ran["jobs"])
    assert (found["cores"], found["slots"]) == (records(project)[0].parts[0].host["spent"]["cores"], 2)
    assert found["processor_seconds"]["driver"] > 0 and found["wall_seconds"] > 0
    names = {row["name"] for row in found["stages"]}
    assert {"convert/import", "convert/run", "reload/import", "export/export", "outside stages"} <= names
    assert {row["name"]: row["count"] for row in found["job_types"]} == {
        "convert": 6,
        "reference": 4,
        "export": 4,
        "forward": 2,
    }
    assert found["critical_path"]["steps"]
    # Nothing of it is derived from other records: all of them say when they began.
    assert not [note for note in found["notes"] if "began" in note]


def test_text_and_timeline(project: Project) -> None:
    project.json("run", "--tier", "known")
    code, out, err = project("profile", "1", "--picture", "run.svg")
    assert (code, err) == (0, "timeline: run.svg\n")
    assert out.startswith("run 1  ") and "convert/run" in out and "critical path: " in out
    root = ElementTree.fromstring((project.root / "run.svg").read_text(encoding="utf-8"))
    assert root.findtext("{http://www.w3.org/2000/svg}title") == "run 1: known, fake, complete"


def test_the_newest_run_that_ran_jobs(project: Project) -> None:
    project.json("run", "--tier", "known")
    project.json("run", "--tier", "known")
    assert [run.jobs_run > 0 for run in records(project)] == [False, True]
    assert project.json("profile")["run"] == 1
    code, out, err = project("profile", "2")
    assert (code, out) == (errors.NothingSelected.exit_code, "")
    assert "run 2 ran no jobs, 16 were cached" in err and "python -m matrix run --again" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["9"], errors.UsageError.exit_code, "there is no run 9; the newest is 1"),
        (["x"], errors.UsageError.exit_code, "not a valid integer"),
        (["--format", "md"], errors.UsageError.exit_code, "--format"),
        (["--picture", "no/where.svg"], errors.UsageError.exit_code, "there is no folder"),
    ],
)
def test_wrong_use(project: Project, arguments: list[str], code: int, words: str) -> None:
    project.json("run", "--tier", "known")
    ended, out, err = project("profile", *arguments)
    assert (ended, out) == (code, "") and words in err


def test_no_run(project: Project) -> None:
    ended, _, err = project("profile")
    assert ended == errors.NothingSelected.exit_code and "no run yet" in err


def test_jobs_that_are_no_longer_stored(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from matrix.store import Store

    project.json("run", "--tier", "known")

    def nothing(*_: Any) -> list[Any]:
        return []

    monkeypatch.setattr(Store, "made_by", nothing)
    code, _, err = project("profile")
    assert code == errors.NothingSelected.exit_code and "the jobs of run 1 are no longer stored" in err
