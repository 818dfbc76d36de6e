"""Shards run for real: together they are the whole run, and nothing that one has is built or resolved again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from time_world import Fault, TimeProject

from matrix.store import Store

KNOWN = ("--tier", "known")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> TimeProject:
    made = TimeProject(tmp_path, monkeypatch, capsys)
    made.engine.faults.append(Fault({"protobuf": ">=4"}))
    return made


def conclusions(found: Any) -> dict[str, tuple[str, ...]]:
    return {cell["cell"]: (cell["verdict"], cell["stage"], cell["reason"]) for cell in found["cells"]}


def run(project: TimeProject, state: str, *more: str) -> Any:
    code, out, err = project("run", *KNOWN, "--state", state, "--format", "json", *more)
    assert code == 0, err
    return json.loads(out)


def stored(state: str) -> Store:
    return Store(f"sqlite:///{Path(state).absolute()}/matrix.db", Path(state) / "blobs")


@pytest.mark.parametrize("resolution", ["then", "now", "both"])
def test_two_shards_are_the_whole(project: TimeProject, resolution: str) -> None:
    whole = conclusions(run(project, "whole", "--resolution", resolution))
    parts = [
        conclusions(run(project, f"part{index}", "--resolution", resolution, "--shard", f"{index}/2", "--run-id", "n"))
        for index in (1, 2)
    ]
    assert not parts[0].keys() & parts[1].keys()
    assert parts[0] | parts[1] == whole
    assert all(parts)


def test_an_environment_is_made_in_one_shard_only(project: TimeProject) -> None:
    made = []
    for index in (1, 2):
        project.engine.prepared.clear()
        project.index.asked.clear()
        run(project, f"part{index}", "--resolution", "both", "--shard", f"{index}/2")
        made.append({name for name in project.engine.prepared if name.startswith(("old", "new"))})
        assert {request.name.partition("~")[0] for request in project.index.asked if request.role == "converter"} == {
            name.partition("~")[0] for name in made[-1]
        }
    assert sorted(map(sorted, made)) == [["new", "new~now"], ["old", "old~now"]]


def test_what_is_kept_of_a_shard(project: TimeProject) -> None:
    found = run(project, "one", "--shard", "1/2", "--run-id", "nightly-7")
    store = stored("one")
    (record,) = store.runs()
    (part,) = record.parts
    store.close()
    assert record.uid == "nightly-7"
    assert (part.shard, part.planned, part.status) == ("1/2", len(found["cells"]), "complete")
    assert part.whole == len(project("plan", *KNOWN, "--format", "cells")[1].split())
    run(project, "two", "--shard", "2/2", "--run-id", "nightly-7")
    store = stored("two")
    assert store.runs()[0].parts[0].partition == part.partition
    store.close()


def test_a_run_of_a_name_is_continued(project: TimeProject) -> None:
    first = run(project, "one", "--shard", "1/2", "--run-id", "nightly-7")
    again = run(project, "one", "--shard", "1/2", "--run-id", "nightly-7")
    assert conclusions(first) == conclusions(again)
    store = stored("one")
    assert len(store.runs()) == 1
    assert len(store.runs()[0].parts) == 1
    store.close()


def test_an_empty_shard_ends_well_and_says_so(project: TimeProject) -> None:
    for format_ in ("table", "json", "md", "junit"):
        code, _, err = project(
            "run", *KNOWN, "--state", "empty", "--shard", "9/9", "--run-id", "n", "--format", format_
        )
        assert code == 0
        assert "shard 9/9 is empty" in err
    assert project.engine.prepared == []
    code, _, err = project("run", *KNOWN, "--state", "empty", "--shard", "9/9", "--resolution", "now")
    assert (code, project.index.asked) == (0, [])


def test_what_the_other_shards_have_is_not_missing(project: TimeProject) -> None:
    code, out, err = project("run", *KNOWN, "--state", "one", "--shard", "1/2", "--run-id", "n")
    assert code == 0 and "belong to other shards" in out and "not reached" not in out
    assert "without a common --run-id" not in err
    assert "without a common --run-id" in project("run", *KNOWN, "--state", "two", "--shard", "1/2")[2]


def test_the_fan_out_is_what_the_shards_run(project: TimeProject) -> None:
    code, out, _ = project("ci", "github-matrix", "--shards", "4", *KNOWN, "--state", "one", "--resolution", "both")
    assert code == 0
    assert out.count("\n") == 1
    include = json.loads(out)["include"]
    assert {key for entry in include for key in entry} == {"shard", "cells", "minutes"}
    for entry in include:
        found = run(project, "one", "--resolution", "both", "--shard", entry["shard"])
        # What was measured moves the cut: each shard begins with the same history.
        assert len(found["cells"]) == entry["cells"]
        for path in Path("one").glob("matrix.db*"):
            path.unlink()


@pytest.mark.parametrize(
    "options",
    [
        ("run", *KNOWN, "--shard", "3/2"),
        ("run", *KNOWN, "--shard", "1/257"),
        ("run", *KNOWN, "--run-id", "../up"),
        ("run", *KNOWN, "--run-id", ".."),
        ("run", *KNOWN, "--run-id", "x" * 65),
        ("run", *KNOWN, "--run-id", "_x"),
        ("ci", "github-matrix", "--shards", "257", *KNOWN),
        ("ci", "github-matrix", "--shards", "0", *KNOWN),
        ("ci", "summary", "--fan-out", "{}"),
        ("ci", "summary", "--fan-out", "no json"),
    ],
)
def test_wrong_usage(project: TimeProject, options: tuple[str, ...]) -> None:
    assert project(*options)[0] == 2


def test_the_summary_names_what_is_missing(project: TimeProject) -> None:
    fan_out = json.dumps({"include": [{"shard": "1/2"}, {"shard": "2/2"}]})
    code, out, _ = project("ci", "summary", "--run-id", "nightly-7", "--fan-out", fan_out)
    assert code == 0
    assert "There is no run `nightly-7`" in out
    assert "Missing: shard `1/2`, `2/2`" in out
    run(project, ".matrix", "--shard", "2/2", "--run-id", "nightly-7")
    for more in ((), ("--fan-out", fan_out)):
        code, out, _ = project("ci", "summary", "--run-id", "nightly-7", *more)
        assert "Missing: shard `1/2`." in out
    run(project, ".matrix", "--shard", "1/2", "--run-id", "nightly-7")
    assert "Missing" not in project("ci", "summary")[1]
    assert "different plans" not in project("ci", "summary")[1]
    run(project, ".matrix", "--shard", "1/3", "--run-id", "nightly-7")
    assert "different plans" in project("ci", "summary")[1]
