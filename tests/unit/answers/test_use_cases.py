"""Runs as of then and as of now: which cells, in which environments, what is told, what is not done twice."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import small
from fakes import Deed, good
from packaging.version import Version
from time_world import CELL, MOVED, NOW, Fault, TimeProject, verdicts

from matrix.answers.evidence.stored import EvidenceSource, read
from matrix.app.project import Project
from matrix.core import errors
from matrix.environments.engine import BuildFailed
from matrix.environments.locks import resolve as resolving
from matrix.environments.locks.keep import LockFolders
from matrix.judging.cells import Judge
from matrix.packages.index import Package, ReleasedFile
from matrix.packages.lock import parse_lock

EXPORTED_NOW = "net/torch-1.12.1~now@8/new"
ONE = ("--only", f"cell={CELL}")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> TimeProject:
    return TimeProject(tmp_path, monkeypatch, capsys)


def breaks(project: TimeProject) -> None:
    project.engine.faults.append(Fault({"protobuf": ">=4"}))


def beside(document: Any) -> dict[str, Any]:
    return {cell["cell"]: cell["beside"] for cell in document["cells"] if "beside" in cell}


# --- what is run -----------------------------------------------------------------------------------------------------


def test_one_environment_of_a_cell_moves_at_a_time(project: TimeProject) -> None:
    found = project.now(*ONE)
    assert verdicts(found) == {CELL: "match", MOVED: "match", EXPORTED_NOW: "match"}
    seen = {(work, name): packages for work, name, packages in project.engine.worked}
    converters = {name: packages for (work, name), packages in seen.items() if work == "convert"}
    exporters = {name: packages for (work, name), packages in seen.items() if work == "export"}
    assert {name: p["protobuf"] for name, p in converters.items()} == {"new": "3.19.4", "new~now": "4.21.1"}
    assert {name: p["typing-extensions"] for name, p in exporters.items()} == {
        "torch-1.12.1": "4.1.1",
        "torch-1.12.1~now": "4.2.0",
    }
    # The reference stays what it is, and so does the Python of both.
    assert {name for (work, name) in seen if work == "reference"} == {"reference"}
    assert {request.python for request in project.index.asked} == {"3.9"}
    assert {request.as_of for request in project.index.asked} == {NOW}


def test_now_alone_runs_no_cell_of_then(project: TimeProject) -> None:
    found = project.now("--resolution", "now", *ONE)
    assert verdicts(found).keys() == {MOVED, EXPORTED_NOW}
    assert project.engine.converted().count("new") == 1  # of the export of now


def test_every_cell_has_its_converter_of_now_and_every_export_one_exporter(project: TimeProject) -> None:
    found = verdicts(project.now("--resolution", "now"))
    then = project("plan", "--tier", "known", "--format", "cells")[1].split()
    assert {cell for cell in found if cell.endswith("~now")} == {f"{cell}~now" for cell in then}
    exported = [cell for cell in found if not cell.endswith("~now")]
    # torch-1.12.1 at 7 and 8 goes to two converters each, torch-1.2.0 at 9 and 10 to one.
    assert len(then) == 6 and len(exported) == 4
    # Each row was resolved once, whatever the number of its cells.
    assert sorted(request.name for request in project.index.asked) == [
        "new~now",
        "old~now",
        "torch-1.12.1~now",
        "torch-1.2.0~now",
    ]


def test_a_row_has_no_now_before_its_own_time(project: TimeProject) -> None:
    code, out, err = project("run", "--tier", "known", "--resolution", "both", "--as-of", "2022-01-15", "--format",
                             "json")  # fmt: skip
    moved = {name for name in verdicts(json.loads(out)) if "~" in name}
    # `old` is of 2019, all others of February.
    assert code == 0 and len(moved) == 4 and all(name.endswith("/old~now") for name in moved)
    assert "note: newer than 2022-01-15, so not resolved as of now: new" in err
    assert {request.name for request in project.index.asked} == {"old~now"}


def test_a_build_of_torch_is_that_build_now(project: TimeProject) -> None:
    (project.root / "torch-2.13.0+cpu-cp39-cp39-linux_x86_64.whl").touch()
    only = ("--only", "exporter=torch-2.13.0-torchscript", "--only", "opset=10", "--only", "converter=old",
            "--model", "net", "--find-links", str(project.root))  # fmt: skip
    found = project.now("--resolution", "now", *only, tier="full")
    assert verdicts(found) == {
        "net/torch-2.13.0-torchscript@10/old~now": "match",
        "net/torch-2.13.0-torchscript~now@10/old": "match",
    }
    assert {request.name for request in project.index.asked} == {"old~now", "torch-2.13.0~now.cpu"}
    asked = next(request for request in project.index.asked if request.role == "exporter")
    assert "torch==2.13.0+cpu" in asked.requirements


def test_the_second_time_only_resolutions_happen(project: TimeProject) -> None:
    breaks(project)
    first = project.now()
    asked, worked = len(project.index.asked), len(project.engine.worked)
    project.engine.prepared.clear()
    second = project.now()
    assert second["jobs"]["run"] == 0 and second["jobs"]["cached"] == first["jobs"]["run"] + first["jobs"]["cached"]
    assert project.engine.prepared == [] and len(project.engine.worked) == worked
    assert len(project.index.asked) == 2 * asked
    assert verdicts(second) == verdicts(first)


def test_another_day_with_the_same_locks_is_nothing_new(project: TimeProject) -> None:
    project.now()
    found = project.now("--as-of", "2022-06-11")
    assert found["jobs"]["run"] == 0 and found["as_of"] == "2022-06-11"


def test_a_release_makes_only_its_rows_run_again(project: TimeProject) -> None:
    project.now()
    project.index.released["protobuf"]["4.21.2"] = "2022-06-24"
    project.engine.prepared.clear()
    project.engine.worked.clear()
    project.now("--as-of", "2022-06-30")
    assert project.engine.prepared == ["new~now"] and set(project.engine.converted()) == {"new~now"}


def test_locks_of_now_are_in_the_store_and_nowhere_else(project: TimeProject) -> None:
    files = {path: path.read_bytes() for path in (project.root / "envs").iterdir()}
    project.now(*ONE)
    assert {path: path.read_bytes() for path in (project.root / "envs").iterdir()} == files
    assert not list((project.root / ".matrix" / "locks").glob("*.lock"))
    code, out, _ = project("show", MOVED, "--lock")
    lock = parse_lock(out, Path("x"))
    assert code == 0 and (lock.name, lock.as_of, lock.packages["protobuf"]) == ("new~now", NOW, "4.21.1")
    assert parse_lock(project("show", EXPORTED_NOW, "--lock")[1], Path("x")).name == "torch-1.12.1~now"
    assert project("show", CELL, "--lock")[1] == (project.root / "envs" / "new.lock").read_text()


def test_a_lock_of_now_is_that_of_the_run_that_is_shown(project: TimeProject) -> None:
    project.now(*ONE)
    project.index.released["protobuf"]["4.21.2"] = "2022-06-24"
    project.now(*ONE, "--as-of", "2022-06-30")
    shown = {
        run: parse_lock(project("show", MOVED, "--run", run, "--lock")[1], Path("x")).packages["protobuf"]
        for run in ("1", "2")
    }
    assert shown == {"1": "4.21.1", "2": "4.21.2"}


def test_a_row_without_solution_now(project: TimeProject) -> None:
    project.index.released["protobuf"].clear()
    found = project.now(*ONE)
    (cell,) = (cell for cell in found["cells"] if cell["cell"] == MOVED)
    assert (cell["verdict"], cell["stage"], beside(found)[MOVED]["standing"]) == (
        "unsatisfiable",
        "lock",
        "worked then, broken now",
    )
    assert project.engine.converted().count("new~now") == 0
    assert "No solution found: no protobuf" in project("show", MOVED)[1]


def test_remedies_are_tried_on_now_as_of_now(project: TimeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks(project)
    monkeypatch.setattr(resolving, "resolve", project.index.resolve)
    found = project.now("--remedy", *ONE)
    (cell,) = (cell for cell in found["cells"] if cell["cell"] == MOVED)
    assert cell["verdict"] == "error" and cell["remedied"] == ["protobuf<4"]
    tried = next(packages for _, name, packages in project.engine.worked if name.startswith("new~now+"))
    assert tried["protobuf"] == "3.20.1" and tried["numpy"] == "1.22.4"
    # What stands beside then is the cell, not what mended it.
    assert beside(found).keys() == {MOVED, EXPORTED_NOW}


# --- beside then -----------------------------------------------------------------------------------------------------


def test_then_and_now_side_by_side(project: TimeProject) -> None:
    breaks(project)
    found = project.now(*ONE)
    sides = beside(found)
    assert {cell: (side["moved"], side["standing"]) for cell, side in sides.items()} == {
        MOVED: ("converter", "worked then, broken now"),
        EXPORTED_NOW: ("exporter", "works then and now"),
    }
    (cell,) = (cell for cell in found["cells"] if cell["cell"] == MOVED)
    assert (cell["verdict"], cell["reason"]) == ("error", "protobuf-too-new")
    out = project("status", "--run", "1")[1]
    assert re.search(r"new .*torch-1\.12\.1 .* match .* error .*worked then, broken now", out)
    assert f"blame '{MOVED}'" in out


def test_then_is_taken_from_history(project: TimeProject) -> None:
    breaks(project)
    assert {side["standing"] for side in beside(project.now("--resolution", "now", *ONE)).values()} == {"not known"}
    project.json("run", "--tier", "known", *ONE)
    sides = beside(project.now("--resolution", "now", *ONE))
    assert (sides[MOVED]["standing"], sides[EXPORTED_NOW]["standing"]) == (
        "worked then, broken now",
        "works then and now",
    )


def test_then_with_another_lock_is_not_then(project: TimeProject) -> None:
    project.json("run", "--tier", "known", *ONE)
    project.index.released["numpy"]["1.22.0"] = "2021-12-31"
    project.write(small.SMALL)
    assert {side["standing"] for side in beside(project.now("--resolution", "now", *ONE)).values()} == {"not known"}


def test_what_could_not_be_measured_stands_nowhere(project: TimeProject) -> None:
    project.engine.broken["new~now"] = BuildFailed("infra", "index-dns", "no network")
    found = project.now(*ONE, code=errors.Indeterminate.exit_code)
    assert beside(found)[MOVED]["standing"] == "not known"
    project.engine.broken.clear()
    assert beside(project.now(*ONE))[MOVED]["standing"] == "works then and now"


def test_what_the_table_expects_is_expected_of_then(project: TimeProject) -> None:
    """Whatever the words that it is stated in."""
    stated = "{exporter: torch-1.2.0, opset: 9, converter: old}"
    project.write(small.changed(f"  - cells: {stated}", '  - cells: {torch: "==1.2.0", opset: 9}'))
    project.engine.faults.append(Fault({"six": ">=1.16"}))
    found = project.now("--only", "converter=old", "--only", "opset=9")
    assert verdicts(found)["net/torch-1.2.0@9/old~now"] == "error"
    assert not any(cell["unexpected"] for cell in found["cells"])
    project.engine.faults.append(Fault({"six": "<1.16"}))
    code, out, _ = project("run", "--again", "--tier", "known", "--only", "opset=9", "--resolution", "both",
                           "--as-of", NOW.isoformat(), "--format", "json")  # fmt: skip
    assert code == errors.UnexpectedVerdicts.exit_code
    told = [cell["cell"] for cell in json.loads(out)["cells"] if cell["unexpected"]]
    # Moving torch leaves the expectation of its cell of now alone too.
    assert told == ["net/torch-1.2.0@9/old"]


def test_cells_of_now_are_no_evidence(project: TimeProject) -> None:
    breaks(project)
    project.now(*ONE)
    session = project.session()
    with contextlib.closing(session.state.open_store(None)) as history:
        found = read(EvidenceSource(history, session.config, session.locks, Judge(session.config, history)))
    assert [(entry.cell, entry.finding.verdict) for entry in found.entries] == [(CELL, "match")]


# --- what the index does ---------------------------------------------------------------------------------------------


def test_what_cannot_be_resolved_leaves_out_its_own_cells(project: TimeProject) -> None:
    project.index.failing["new~now"] = errors.Indeterminate("the index gives no upload times for six (PEP 700)")
    code, out, err = project("run", "--tier", "known", *ONE, "--resolution", "both", "--as-of", NOW.isoformat(),
                             "--format", "json")  # fmt: skip
    found = json.loads(out)
    assert code == errors.Indeterminate.exit_code and "1 environments could not be resolved as of 2022-06-10" in err
    assert verdicts(found) == {CELL: "match", EXPORTED_NOW: "match"}
    assert found["unresolved"] == {"new~now": "the index gives no upload times for six (PEP 700)"}
    code, out, _ = project("run", "--tier", "known", *ONE, "--resolution", "both", "--as-of", NOW.isoformat())
    assert "no upload times for six" in out
    # Nothing of it is kept that could look like a finding.
    project.index.failing.clear()
    assert verdicts(project.now(*ONE))[MOVED] == "match"


def test_where_nothing_can_be_resolved_then_is_kept(project: TimeProject) -> None:
    project.index.failing["~now"] = errors.Indeterminate("the index does not answer")
    found = project.now(*ONE, code=errors.Indeterminate.exit_code)
    assert verdicts(found) == {CELL: "match"}
    assert project.json("status", "--run", "1")["jobs"]["run"] == 4


def test_the_drift_since_the_last_run_of_now(project: TimeProject) -> None:
    first = project.now(*ONE)["drift"]
    assert all(row["first"] for row in first["rows"])
    project.index.released["protobuf"]["4.21.2"] = "2022-06-24"
    project.engine.faults.append(Fault({"protobuf": ">=4.21.2"}))
    found = project.now(*ONE, "--as-of", "2022-06-30")
    rows = {row["row"]: row for row in found["drift"]["rows"]}
    assert rows["new~now"]["as_of"] == {"before": "2022-06-10", "after": "2022-06-30"}
    changed = [change for group in rows["new~now"]["packages"].values() for change in group]
    assert changed == [{"package": "protobuf", "before": "4.21.1", "after": "4.21.2"}]
    (verdict,) = rows["new~now"]["verdicts"]
    assert (verdict["cell"], verdict["broken"]) == (MOVED, True)
    assert not any(rows["torch-1.12.1~now"]["packages"].values())
    # It is what was seen on that day, and is not made again.
    assert project.json("status", "--run", "2")["drift"] == found["drift"]
    assert "1 of 2 locks changed, 1 cell changed (1 broken" in project("status", "--run", "2")[1]


def test_a_run_of_then_between_does_not_hide_the_drift(project: TimeProject) -> None:
    project.now(*ONE)
    project.json("run", "--tier", "known")
    project.index.released["numpy"]["1.23.0"] = "2022-06-22"
    rows = {row["row"]: row for row in project.now(*ONE, "--as-of", "2022-06-30")["drift"]["rows"]}
    assert not rows["new~now"]["first"] and rows["new~now"]["as_of"]["before"] == "2022-06-10"


def test_a_release_of_then_that_was_yanked_is_named(project: TimeProject) -> None:
    assert {row["row"] for row in project.now(*ONE)["drift"]["rows"]} == {"new~now", "torch-1.12.1~now"}
    wheel = ReleasedFile(
        "protobuf-3.19.4-py3-none-any.whl", Version("3.19.4"), "wheel",
        uploaded=dt.datetime(2022, 1, 28, tzinfo=dt.UTC), yanked=True, yanked_reason="broken", sha256="0" * 64,
    )  # fmt: skip
    newer = ReleasedFile(
        "protobuf-4.21.1-py3-none-any.whl", Version("4.21.1"), "wheel",
        uploaded=dt.datetime(2022, 5, 27, tzinfo=dt.UTC), sha256="0" * 64,
    )  # fmt: skip
    project.index.pages["protobuf"] = Package("protobuf", (wheel, newer), frozenset({"0" * 64}))
    rows = {row["row"]: row for row in project.now(*ONE)["drift"]["rows"]}
    told = [(item["kind"], item["package"], item["version"]) for item in rows["new"]["incidents"]]
    assert told == [("yanked", "protobuf", "3.19.4")]
    assert not rows["new~now"]["incidents"]


def test_without_pages_there_is_no_drift_report_and_everything_else(
    project: TimeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(settings: Any) -> Any:
        raise errors.Indeterminate("the index does not answer")

    monkeypatch.setattr("matrix.answers.drift.gather.Releases", unreachable)
    code, out, err = project("run", "--tier", "known", *ONE, "--resolution", "both", "--as-of", NOW.isoformat(),
                             "--format", "json")  # fmt: skip
    assert code == 0 and "no drift report: the index does not answer" in err
    assert "drift" not in json.loads(out) and beside(json.loads(out)).keys() == {MOVED, EXPORTED_NOW}


def test_clean_keeps_what_the_last_run_of_now_was_made_of(
    project: TimeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[str] = []

    def engines(self: Project) -> list[Any]:
        identify = project.engine.identify
        monkeypatch.setattr(project.engine, "identify", lambda lock: named.append(lock.name) or identify(lock))
        return [project.engine]

    project.now(*ONE)
    project.index.released["protobuf"]["4.21.2"] = "2022-06-24"
    project.now(*ONE, "--as-of", "2022-06-30")
    monkeypatch.setattr(Project, "engines", engines)
    assert project("clean")[0] == 0
    assert {"new", "new~now", "torch-1.12.1~now"} <= set(named) and named.count("new~now") == 1


# --- what is recorded and asked for ----------------------------------------------------------------------------------


def test_the_day_is_recorded_with_the_run(project: TimeProject) -> None:
    project.now(*ONE)
    project.json("run", "--tier", "known", *ONE)
    first, second = (project.json("status", "--run", number) for number in ("1", "2"))
    assert (first["resolution"], first["as_of"]) == ("both", "2022-06-10")
    assert (second["resolution"], second["as_of"]) == ("then", None)


def test_now_is_today_unless_another_day_is_named(project: TimeProject) -> None:
    code, _, err = project("run", "--tier", "known", *ONE, "--resolution", "now")
    today = dt.datetime.now(dt.UTC).date()
    assert code == 0, err
    assert {today - request.as_of for request in project.index.asked} <= {dt.timedelta(0), dt.timedelta(1)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--as-of", "2022-06-10"], "add --resolution now or both"),
        (["--resolution", "now", "--as-of", "2999-01-01"], "is in the future"),
        (["--resolution", "now", "--as-of", "yesterday"], "--as-of"),
        (["--resolution", "tomorrow"], "--resolution"),
        (["--blame"], "add --resolution now or both"),
        (["--resolution", "now", "--locked"], "--locked cannot be combined"),
        (["--resolution", "now", "--blame", "--blame-runs", "1"], "--blame-runs"),
        (["--resolution", "now", "--blame", "--blame-minutes", "0"], "--blame-minutes"),
    ],
    ids=" ".join,
)
def test_wrong_use(project: TimeProject, arguments: list[str], words: str) -> None:
    code, out, err = project("run", "--tier", "known", *arguments)
    assert (code, out) == (errors.UsageError.exit_code, "") and words in err
    assert not project.index.asked


def test_how_a_cell_of_now_is_made_again(project: TimeProject) -> None:
    project.now(*ONE)
    out = project("show", MOVED)[1]
    assert f"python -m matrix show '{MOVED}' --lock > env.lock" in out
    assert "--require-hashes -r env.lock" in out and "--again" not in out
    assert "--again" in project("show", CELL)[1]


def test_the_lock_of_a_row_without_solution_says_why(project: TimeProject) -> None:
    project.index.released["protobuf"].clear()
    project.now(*ONE)
    lock = parse_lock(project("show", MOVED, "--lock")[1], Path("x"))
    assert (lock.outcome, lock.packages) == ("unsatisfiable", {}) and "no protobuf" in lock.text()


def test_a_run_that_was_stopped_blames_nobody(project: TimeProject) -> None:
    project.engine.faults.append(Fault({"protobuf": ">=4"}))

    def script(work: Any, spec: Any) -> Deed:
        if work == "reload" and project.engine.converted()[-1] == "old":
            signal.raise_signal(signal.SIGINT)
        return good(work, spec)

    project.engine.script = script
    code, out, _ = project("run", "--tier", "known", "--only", "torch==1.12.*", "--resolution", "both", "--as-of",
                           NOW.isoformat(), "--blame", "--jobs", "1", "--format", "json")  # fmt: skip
    assert code == errors.Interrupted.exit_code
    assert "worked then, broken now" in {side["standing"] for side in beside(json.loads(out)).values()}
    with contextlib.closing(project.session().state.open_store(None)) as history:
        assert len(history.runs()) == 1  # nobody was blamed
    project.engine.script = good
    assert len(verdicts(project.now(*ONE))) == 3


def test_committed_locks_are_found_again(project: TimeProject) -> None:
    """What the tests above rest on: the committed locks are current, and the fake index has another answer now."""
    folders = LockFolders(project.root / "envs", project.root / ".matrix" / "locks")
    assert project("lock", "--check")[0] == 0
    assert folders.read()["new"].packages["protobuf"] == "3.19.4"
