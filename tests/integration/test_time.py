"""Then, now and `blame` with real packages: a row that matched in March 2022 and failed in June.

protobuf 4 came in between. What it needs of the index is years old, so the answers do not change.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from product import Finished, Project
from synthetic_index import World
from tables import EXPORTER, OPSET, ROOT, small_model, write_table

from matrix.judging.reasons import known_reasons
from matrix.packages import interpreters, uv
from matrix.table import load_config

# A row without companions and with nothing but its pins.
ROW = "onnxtf1.10.0-tf2.8.0-tfp0.16.0"
DAY = "2022-06-10"
CELL = f"good/{EXPORTER}@{OPSET}/{ROW}"
MOVED = f"{CELL}~now"

# At most so many environments for all of it: the exporter's of both days, the reference's, the two of the row, and for
# the search the transition's two sides and the cure.
BUILDS = 8


@pytest.fixture(scope="module")
def past(shared_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One history for this module, because each test builds on the findings of the previous one."""
    folder = tmp_path_factory.mktemp("time")
    project = Project(folder / "project", shared_state, folder / "history.db")
    write_table(project.folder, [small_model("good")], (ROW,))
    return project


@pytest.fixture(scope="module")
def both(past: Project) -> Finished:
    return past.run("--only", f"converter={ROW}", "--resolution", "both", "--as-of", DAY)


@pytest.fixture(scope="module")
def story(past: Project, both: Finished) -> dict[str, Any]:
    """The result of blame, with its cure as a diff beside the table."""
    # Named with its store, like what reads one.
    done = past.call(
        "blame", CELL, "--bad", DAY, "--fix", "cure.diff", "--format", "json", "--store", f"sqlite:///{past.store}"
    )
    assert done.code == 0, done.err
    return done.document


def cells(finished: Finished) -> dict[str, dict[str, Any]]:
    return {cell["cell"]: cell for cell in finished.cells}


def show(project: Project, *arguments: str) -> str:
    done = project.call("show", *arguments)
    assert done.code == 0, done.err
    return done.out


def test_it_matched_then_and_fails_now(both: Finished) -> None:
    assert both.code == 0, both.err
    found = cells(both)
    assert found[CELL]["verdict"] == "match"
    assert (found[MOVED]["verdict"], found[MOVED]["reason"]) == ("error", "protobuf-too-new")
    assert found[MOVED]["beside"]["standing"] == "worked then, broken now"
    # The exporter's environment leaves protobuf open as well, and says so for itself.
    other = found[f"good/{EXPORTER}~now@{OPSET}/{ROW}"]
    assert (other["verdict"], other["role"], other["reason"]) == ("error", "exporter", "protobuf-too-new")
    assert other["beside"]["moved"] == "exporter"


def test_again_there_are_only_resolutions(past: Project, both: Finished) -> None:
    again = past.run("--only", f"converter={ROW}", "--resolution", "both", "--as-of", DAY)
    assert again.jobs == (0, sum(both.jobs)) and "building" not in again.err
    assert "2 environments resolved in" in again.err
    assert {name: cell["verdict"] for name, cell in cells(again).items()} == {
        name: cell["verdict"] for name, cell in cells(both).items()
    }
    rows = {row["row"]: row for row in again.document["drift"]["rows"]}
    assert not any(rows[f"{ROW}~now"]["packages"].values()) and not rows[f"{ROW}~now"]["verdicts"]


def test_who_broke_it_and_when(both: Finished, story: dict[str, Any]) -> None:
    transition = story["transition"]
    assert [(one["package"], one["version"], one["uploaded"]) for one in transition["culprits"]] == [
        ("protobuf", "4.21.1", "2022-05-27")
    ]
    good, bad = (dt.date.fromisoformat(transition[key]) for key in ("good_day", "bad_day"))
    assert bad - good == dt.timedelta(1) and bad == dt.date(2022, 5, 28)
    assert transition["outcome"]["reason"] == "protobuf-too-new"
    assert both.err.count("] built ") + story["cost"]["environments_built"] <= BUILDS


def test_what_cures_it_was_seen_to_match(past: Project, story: dict[str, Any]) -> None:
    cure = story["cure"]
    assert cure["ranges"] == {"protobuf": "<4"}
    assert cure["packages"]["protobuf"].startswith("3.20.")
    found = json.loads(show(past, cure["cell"], "--format", "json"))
    assert (found["cell"], found["verdict"]) == (cure["cell"], "match")
    # The result is shown with the cell.
    assert story["answer"] in show(past, MOVED) and story["answer"] in show(past, CELL)


def test_its_lock_is_one_that_can_be_installed(past: Project, story: dict[str, Any], tmp_path: Path) -> None:
    lock = tmp_path / "env.lock"
    lock.write_text(show(past, story["cure"]["cell"], "--lock"), encoding="utf-8")
    python = interpreters.find("3.9")
    assert python is not None
    commands = (
        ["venv", "--quiet", "--python", str(python.path), "env"],
        ["pip", "install", "--python", "env/bin/python", "--dry-run", "--no-deps", "--require-hashes", "-r", str(lock)],
    )
    for command in commands:
        done = subprocess.run([uv.binary(), *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert f"+ protobuf=={story['cure']['packages']['protobuf']}" in done.stderr


def test_its_fix_is_a_table_that_cures_it(past: Project, story: dict[str, Any]) -> None:
    """Apply it with `patch`: with the row locked as of today instead of its own date, today is good."""
    diff = past.folder / "cure.diff"
    before = past.table.read_bytes()
    subprocess.run(["patch", "-p1", "-i", diff.name], cwd=past.folder, check=True, capture_output=True)
    try:
        row = next(row for row in load_config(past.table, known_reasons()).converters if row.id == ROW)
        assert row.add == {"protobuf": "<4"}
        assert story["proposal"]["stale"] == [ROW]
        found = cells(past.run("--only", f"converter={ROW}", "--resolution", "now", "--as-of", DAY))
        assert found[MOVED]["verdict"] == "match"
    finally:
        past.table.write_bytes(before)
        (past.folder / "envs" / f"{ROW}.lock").write_bytes((ROOT / "envs" / f"{ROW}.lock").read_bytes())


def test_an_index_without_dates_is_said_and_takes_nothing_from_then(past: Project, both: Finished) -> None:
    world = World(dated=False)
    row = next(row for row in load_config(past.table, known_reasons()).converters if row.id == ROW)
    torch = next(row for row in load_config(past.table, known_reasons()).exporters if row.id == EXPORTER)
    for package, version in {**row.pins, **torch.pins, "tensorflow-cpu": row.pins["tensorflow"]}.items():
        world.release(package, version, dt.date(2020, 1, 1))
    with world.served() as address:
        done = past.run("--only", f"converter={ROW}", "--resolution", "both", "--as-of", DAY, "--index-url", address)
    assert done.code == 7 and "2 environments could not be resolved as of 2022-06-10" in done.err
    assert {name: cell["verdict"] for name, cell in cells(done).items()} == {CELL: "match"}
    assert done.document["unresolved"].keys() == {f"{ROW}~now", f"{EXPORTER}~now"}
    assert all("gives no upload times for" in why for why in done.document["unresolved"].values())
