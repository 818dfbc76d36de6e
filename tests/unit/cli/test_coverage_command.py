"""`coverage`: the command, its formats and what it stores; the environments are fakes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import small
from fakes import Deed, npz
from test_cli import Project, project

from matrix.answers.operators import stored
from matrix.cli import chosen
from matrix.store import Store

__all__ = ["project"]

ANSWER = npz([1.0, 2.0])


def case(name: str, operator: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "suite": "node",
        "opsets": {"ai.onnx": 13},
        "operators": {operator: 1},
        "uses": [{"operator": operator, "modes": {}, "given": "1"}],
        "stage": "run",
        "done": True,
        "seconds": 0.5,
        **more,
    }


REFUSED = {"done": False, "stage": "convert", "error": small.raised("Foo is not implemented.", "builtins.RuntimeError")}
ODD = {"done": False, "stage": "convert", "error": small.raised("<script>|[red]text", "builtins.ValueError")}


def files(release: str, *cases: Mapping[str, Any], **claimed: list[int]) -> dict[str, bytes]:
    content = {
        "schema": 2,
        "onnx": "1.10.2",
        "package": "onnx-tf",
        "release": release,
        "opset": 15,
        "cases": cases,
        "handlers": claimed,
        "schemas": {"Abs": [6, 13], "Foo": [13], "Odd": [13]},
    }
    return {"cases.json": json.dumps(content).encode(), "expected.npz": ANSWER, "actual.npz": ANSWER}


CASES = (case("test_abs", "Abs"), case("test_foo", "Foo", **REFUSED), case("test_odd", "Odd", **ODD))


def measured(work: str, spec: Mapping[str, Any]) -> Deed:
    assert work == "coverage"
    return Deed(small.report("import", "load", "run", "save"), files("1.10.0", *CASES, Abs=[13], Odd=[13]))


def no_cases(work: str, spec: Mapping[str, Any]) -> Deed:
    problem = small.raised("onnx 1.0 ships no backend test cases", "converter.backend.cases.NoCasesShipped")
    return Deed(small.report("import", "load", error=problem))


@pytest.fixture
def covered(project: Project) -> Project:
    project.engine.script = measured
    return project


def test_one_object_and_nothing_else(covered: Project) -> None:
    found = covered.json("coverage", "new")
    (row,) = found["rows"]
    assert (row["row"], row["onnx"], row["tensorflow"]) == ("new", "1.10.2", "2.8.0")
    assert row["verdicts"] == {"match": 1, "unsupported": 1, "error": 1}
    assert (row["match_share"], row["share_with_not_implemented_as_passed"]) == (1 / 3, 2 / 3)
    (release,) = found["releases"]
    (disagreement,) = release["disagreements"]
    assert (disagreement["operator"], disagreement["proof"]) == ("Odd", "test_odd")
    assert (release["claims_holding"], release["claims_measured"]) == (2, 3)


def test_what_is_stored_is_neither_measured_nor_judged_again(covered: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first = covered.json("coverage", "new")
    monkeypatch.setattr(stored, "judge_cases", lambda *_: pytest.fail("judged again"))
    assert covered.json("coverage", "new") == first
    assert covered.json("coverage", "--stored") == first
    assert len(covered.engine.seen) == 1
    covered.json("coverage", "new", "--again")
    assert len(covered.engine.seen) == 2


def test_without_a_name_the_default_tier_and_then_what_is_stored(covered: Project) -> None:
    code, _, err = covered("coverage")
    assert code == 0 and "measuring those of tier quick" in err
    assert [work for work, *_ in covered.engine.seen] == ["coverage"]
    code, out, err = covered("coverage")
    assert code == 0 and "printing what is stored" in err and "match" in out


def test_a_glob_names_several(covered: Project) -> None:
    assert [row["row"] for row in covered.json("coverage", "*")["rows"]] == ["old", "new"]
    code, _, err = covered("coverage", "nothing-*")
    assert code == 2 and "old, new" in err


def test_texts_from_an_environment_are_only_texts(covered: Project) -> None:
    _, page, _ = covered("coverage", "new", "--format", "md")
    assert "&lt;script>\\|[red]text" in page and "<script>" not in page
    _, out, _ = covered("coverage", "new")
    assert "[red]text" in out
    assert re.search(r"^new +3 +1 +1 +1 +33\.3% +66\.7% +\d+ *$", out, re.MULTILINE)


def test_an_onnx_without_cases_is_unavailable(project: Project) -> None:
    project.engine.script = no_cases
    code, out, _ = project("coverage", "new")
    assert code == 7
    assert "no-cases-shipped" in out and "unavailable" in out


@pytest.mark.parametrize("name", ["cases.json", "expected.npz", "actual.npz"])
def test_a_broken_file_is_said(project: Project, name: str) -> None:
    project.engine.script = lambda *_: Deed(
        small.report("import", "load", "run", "save"), {**files("1.10.0", *CASES), name: b"broken"}
    )
    found = project.json("coverage", "new")
    assert found["rows"] == []
    (item,) = found["unmeasured"]
    assert (item["verdict"], item["reason"]) == ("error", "arrays-unreadable") and name in item["said"]


def test_a_file_that_is_not_there_is_said(project: Project) -> None:
    left = files("1.10.0", *CASES)
    del left["actual.npz"]
    project.engine.script = lambda *_: Deed(small.report("import", "load", "run", "save"), left)
    code, out, _ = project("coverage", "new")
    assert code == 7 and "not kept: actual.npz" in out


def test_nothing_stored_is_said(project: Project) -> None:
    code, _, err = project("coverage", "--stored")
    assert code == 4 and "holds no coverage" in err


def test_a_run_that_decides_no_cell_is_not_the_one_that_is_meant(tmp_path: Path) -> None:
    store = Store("sqlite://", tmp_path / "blobs")
    for tier in ("quick", "coverage", "read"):
        store.end_run(store.begin_run(tier, "venv", "test", 0, {}), "complete", 0, 0)
    assert chosen.chosen_run(store.runs(), None).tier == "quick"
    assert chosen.chosen_run(store.runs(), 2).tier == "coverage"
