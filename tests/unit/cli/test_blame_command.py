"""`blame`: its options, output, files and exit codes."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import small
from time_world import CELL, MOVED, NOW, Fault, TimeProject

from matrix.core import errors
from matrix.environments.engine import BuildFailed
from matrix.judging.reasons import known_reasons
from matrix.table import load_config

BAD = ("--bad", NOW.isoformat())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> TimeProject:
    return TimeProject(tmp_path, monkeypatch, capsys)


@pytest.fixture
def broken(project: TimeProject) -> TimeProject:
    project.engine.faults.append(Fault({"protobuf": ">=4"}))
    return project


# --- what is printed -------------------------------------------------------------------------------------------------


def test_the_answer_comes_first(broken: TimeProject) -> None:
    code, out, err = broken("blame", CELL, *BAD)
    first = out.splitlines()[0]
    assert code == 0 and first.startswith("broken by protobuf 4.21.1, uploaded 2022-05-27 (protobuf-too-new")
    assert first.endswith("fix for today: protobuf<4")
    assert f"{CELL}~2022-06-10+protobuf-below-4" in out
    assert "trying new as of 2022-06-10, protobuf<4" in err and "trying" not in out


def test_as_an_object(broken: TimeProject) -> None:
    found = broken.json("blame", CELL, *BAD)
    assert (found["cell"], found["row"], found["kind"], found["run"]) == (MOVED, "new", "broken", 1)
    assert found["transition"]["culprits"] == [
        {"package": "protobuf", "version": "4.21.1", "instead_of": "3.20.1", "uploaded": "2022-05-27"}
    ]
    assert (found["transition"]["good_day"], found["transition"]["bad_day"]) == ("2022-05-27", "2022-05-28")
    # As text of the table's row, as a range it is.
    assert found["cure"]["packages"]["protobuf"] == "3.20.1" and "proposal" not in found
    assert found["cost"]["environments_built"] == len(broken.engine.there)


def test_the_cell_that_cured_it_can_be_shown(broken: TimeProject) -> None:
    cured = broken.json("blame", CELL, *BAD)["cure"]["cell"]
    found = broken.json("show", cured)
    assert found["verdict"] == "match" and cured in broken("show", cured)[1]
    assert "protobuf==3.20.1" in broken("show", cured, "--lock")[1]


def test_the_command_is_recorded(broken: TimeProject) -> None:
    broken("blame", CELL, *BAD)
    out = broken("status")[1]
    assert f"blame {CELL} --bad 2022-06-10" in out and "run 1" in out and "complete" in out


# --- how it ends -----------------------------------------------------------------------------------------------------


def test_no_cure(broken: TimeProject) -> None:
    code, out, err = broken("blame", CELL, *BAD, "--runs", "2")
    assert code == errors.NoCure.exit_code == 17 and out.startswith("broken between 2022-02-16 and ")
    assert "no fix found in 2 runs" in err
    code, out, _ = broken("blame", CELL, *BAD, "--runs", "2", "--format", "json")
    assert code == 17 and json.loads(out)["cure"] is None


def test_what_could_not_be_measured(project: TimeProject) -> None:
    project.engine.broken[f"new~{NOW}"] = BuildFailed("infra", "index-dns", "no network")
    code, out, err = project("blame", CELL, *BAD)
    assert code == errors.Indeterminate.exit_code == 7 and out.startswith("undetermined: ")
    assert "one of the two days could not be measured" in err


def test_an_index_that_does_not_answer(broken: TimeProject) -> None:
    broken.index.failing["new~"] = errors.Indeterminate("the package index did not answer")
    code, out, err = broken("blame", CELL, *BAD)
    assert (code, out) == (7, "") and "the package index did not answer" in err
    broken.index.failing.clear()
    assert broken("blame", CELL, *BAD)[0] == 0


@pytest.mark.parametrize(
    ("fault", "begins"),
    [
        (None, "works as of 2022-02-16 and as of 2022-06-10: nothing to blame"),
        (Fault({"protobuf": ">=3"}), "never worked ("),
        (Fault({"protobuf": "<3.20"}), "mended by protobuf 3.20.1, uploaded 2022-04-22"),
    ],
)
def test_where_nobody_broke_it_nothing_is_wrong(project: TimeProject, fault: Fault | None, begins: str) -> None:
    project.engine.faults += [fault] if fault else []
    code, out, err = project("blame", CELL, *BAD, "--fix", "-")
    assert code == 0 and out.startswith(begins), err
    assert "+++" not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument"),
        (["net"], "is not the id of a cell"),
        (["net/torch-1.12.1@8/newer"], "no converter 'newer'; it has: old, new"),
        (["net/torch-1.12.1@99/new"], "takes opsets 7 to 16"),
        ([CELL, "--bad", "2999-01-01"], "is in the future"),
        ([CELL, "--bad", "soon"], "--bad"),
        ([CELL, *BAD, "--good", "2022-06-10"], "--good 2022-06-10 is not before 2022-06-10"),
        ([CELL, *BAD, "--good", "2022-02-15"], "new is resolved as of 2022-02-16"),
        ([CELL, *BAD, "--runs", "1"], "--runs"),
        ([CELL, *BAD, "--minutes", "0"], "--minutes"),
        ([CELL, *BAD, "--format", "xml"], "--format"),
        ([CELL, "--bad", "2022-01-15"], "2022-02-16"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use(broken: TimeProject, arguments: list[str], words: str) -> None:
    code, out, err = broken("blame", *arguments)
    assert (code, out) == (errors.UsageError.exit_code, "") and words in err and "Traceback" not in err
    assert not broken.engine.worked


def test_a_cell_that_is_not_there_leaves_no_run(broken: TimeProject) -> None:
    assert broken("blame", "net/torch-1.12.1@8/nonsense")[0] == errors.UsageError.exit_code
    with_nothing, _, err = broken("status")
    assert with_nothing == errors.NothingSelected.exit_code, err


def test_what_a_blame_decided_of_then_is_reproduced_by_a_run(broken: TimeProject) -> None:
    broken("blame", CELL, *BAD)
    shown = " ".join(broken("show", CELL)[1].split())
    assert f"python -m matrix run --tier full --only converter=new --only cell={CELL} --again" in shown
    assert f"blame of {CELL}~now (run 1" in shown


def test_today_is_the_usual_bad_day(broken: TimeProject) -> None:
    found = broken.json("blame", CELL)
    today = dt.datetime.now(dt.UTC).date()
    assert today - dt.date.fromisoformat(found["now"]["as_of"]) <= dt.timedelta(1)
    assert found["transition"]["culprits"][0]["package"] == "protobuf"


def test_a_good_day(broken: TimeProject) -> None:
    found = broken.json("blame", CELL, *BAD, "--good", "2022-05-01")
    assert found["then"]["as_of"] == "2022-05-01" and found["then"]["packages"]["protobuf"] == "3.20.1"


def test_minutes_end_it(broken: TimeProject) -> None:
    """The minutes are over before the first run."""
    code, out, _ = broken("blame", CELL, *BAD, "--minutes", "0.0000001", "--format", "json")
    assert json.loads(out)["cost"]["runs"] == 0 and not broken.engine.worked
    assert code == errors.Indeterminate.exit_code


# --- what is written -------------------------------------------------------------------------------------------------


def applied(project: TimeProject, diff: str) -> Any:
    """Return the table after `patch` has applied the text."""
    folder = project.root / "elsewhere"
    folder.mkdir()
    shutil.copy(project.root / "matrix.yml", folder)
    done = subprocess.run(["patch", "-p1"], cwd=folder, input=diff, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return load_config(folder / "matrix.yml", known_reasons())


def test_the_cure_as_a_change_of_the_table(broken: TimeProject) -> None:
    before = (broken.root / "matrix.yml").read_bytes()
    code, out, err = broken("blame", CELL, *BAD, "--fix", "cure.diff")
    diff = (broken.root / "cure.diff").read_text()
    assert code == 0 and "+++" not in out and "wrote the fix, as a change of" in err and "cure.diff" in err
    assert (broken.root / "matrix.yml").read_bytes() == before
    rule = applied(broken, diff).companions[-1]
    assert rule.add == {"protobuf": "<4"} and "protobuf 4.21.1" in rule.why and "2022-05-27" in rule.why
    assert diff.startswith("# apply with `patch -p1`") and "lock again: new\n" in diff


def test_the_cure_may_be_printed(broken: TimeProject) -> None:
    code, out, _ = broken("blame", CELL, *BAD, "--fix", "-")
    story, mark, diff = out.partition("# apply with")
    assert code == 0 and story.startswith("broken by") and mark
    assert applied(broken, mark + diff).companions[-1].add == {"protobuf": "<4"}
    assert not (broken.root / "-").exists()


def test_the_cure_is_a_part_of_the_object(broken: TimeProject) -> None:
    found = broken.json("blame", CELL, *BAD, "--fix", "-")
    assert found["proposal"]["stale"] == ["new"]
    assert applied(broken, found["proposal"]["diff"]).companions[-1].add == {"protobuf": "<4"}
    # A file too, and still one object.
    assert broken.json("blame", CELL, *BAD, "--fix", "cure.diff")["proposal"] == found["proposal"]
    assert found["proposal"]["diff"] in (broken.root / "cure.diff").read_text()


def test_without_a_cure_there_is_no_change(broken: TimeProject) -> None:
    code, _, err = broken("blame", CELL, *BAD, "--runs", "2", "--fix", "cure.diff")
    assert code == 17 and "no fix to write; cure.diff is unchanged" in err
    assert not (broken.root / "cure.diff").exists()


def test_the_cured_table_matches_now(broken: TimeProject) -> None:
    """Apply the diff, lock again, and the broken cell works."""
    broken("blame", CELL, *BAD, "--fix", "cure.diff")
    subprocess.run(["patch", "-p1", "-i", "cure.diff"], cwd=broken.root, check=True, capture_output=True)
    broken.write((broken.root / "matrix.yml").read_text())
    found = broken.now("--only", f"cell={CELL}")
    assert {cell["cell"]: cell["verdict"] for cell in found["cells"]}[MOVED] == "match"


def test_a_picture(broken: TimeProject) -> None:
    assert broken("blame", CELL, *BAD, "--picture", "who.svg")[0] == 0
    text = (broken.root / "who.svg").read_text()
    assert ElementTree.fromstring(text).tag.endswith("svg") and "protobuf" in text


def test_a_model_of_the_users_own(broken: TimeProject) -> None:
    (broken.root / "mine.py").write_text("def build(): ...\n")
    found = broken.json("blame", "mine.build/torch-1.12.1@8/new", *BAD, "--model", "mine.py:build", "--input", "1x4")
    assert (found["cell"], found["transition"]["culprits"][0]["package"]) == (
        "mine.build/torch-1.12.1@8/new~now",
        "protobuf",
    )


def test_its_cells_are_no_evidence_and_no_expectation(broken: TimeProject) -> None:
    broken("blame", "net/torch-1.2.0@9/old", *BAD)
    found = json.loads(broken("status", "--run", "1", "--format", "json")[1])
    assert [cell for cell in found["cells"] if cell["unexpected"]] == []


def test_every_option_is_in_the_help(project: TimeProject) -> None:
    out = project("blame", "--help")[1]
    assert all(option in out for option in ("--good", "--bad", "--runs", "--minutes", "--fix", "--picture"))
    assert small.ROOT.joinpath("README.md").read_text().count("matrix blame") >= 1
