"""`judge`: a stored run with other tolerances."""

from __future__ import annotations

import re
from typing import Any

import pytest
import small
from fakes import Deed, good, npz
from test_cli import Project, project
from test_remedied_views import RUN, too_new

from matrix.cli.judge import with_tolerances
from matrix.core import errors
from matrix.history.rejudged import rounded_up
from matrix.judging.cells import tolerances_of
from matrix.judging.tolerance import EXACT, Tolerance
from matrix.table import load_config

__all__ = ["project"]

# 0.5 % off at the largest number: a mismatch by the default rtol of 1e-3.
OFF = npz([1.0, -2.0, 3.0, 4.0, -5.025])
RERUN = ("run", "--tier", "known", "--only", "opset=9")
CELL = "net/torch-1.2.0@9/old"


def wrong(work: Any, spec: Any, memory: bytes = OFF) -> Deed:
    files = {"memory.npz": memory, "saved/graph.pb": b"graph"}
    if work == "convert":
        return Deed(good(work, spec).report, files)
    return Deed(good(work, spec).report, {"reloaded.npz": memory}) if work == "reload" else good(work, spec)


@pytest.fixture
def mismatch(project: Project) -> Project:
    project.write(
        small.changed("expect:\n  - cells: {exporter: torch-1.2.0, opset: 9, converter: old}\n    verdict: match\n", "")
    )
    project.engine.script = wrong
    found = project.json(*RERUN)
    assert [cell["verdict"] for cell in found["cells"]] == ["mismatch"]
    return project


def test_a_wider_tolerance_forgives(mismatch: Project) -> None:
    ran = len(mismatch.engine.seen)
    code, out, _ = mismatch("judge", "--rtol", "1e-2", "--atol", "1e-5")
    assert code == 0
    assert "1 of 1 cells change: mismatch → match (1)" in out
    assert f"  {CELL}: mismatch → match" in out
    assert len(mismatch.engine.seen) == ran
    # What is stored is judged by the table's own, as before.
    assert mismatch.json("status")["cells"][0]["verdict"] == "mismatch"


def test_a_tighter_tolerance_does_not(project: Project) -> None:
    nearly = npz([1.0, -2.0, 3.0, 4.0, -5.0025])
    project.engine.script = lambda work, spec: wrong(work, spec, nearly)
    assert project.json(*RERUN)["cells"][0]["verdict"] == "match"
    found = project.json("judge", "--rtol", "1e-4")
    assert found["cells"][0]["verdict"] == "mismatch"
    assert found["judged"]["changes"] == [{"cell": CELL, "before": "match", "after": "mismatch"}]
    assert found["judged"]["tolerances"] == {"float32": "rtol=0.0001, atol=1e-05"}
    # atol stays the table's: only the other was named.
    assert "none of 1 cells changes its verdict" in project("judge", "--atol", "1e-5")[1]


def test_the_tightest_tolerance_passes_and_less_does_not(mismatch: Project) -> None:
    [tight] = mismatch.json("judge", "--rtol", "1e-3", "--atol", "1e-5")["judged"]["tightest"]
    assert tight["leg"] == "onnxruntime-tensorflow" and tight["factor"] == pytest.approx(0.025 / 0.00501, rel=1e-4)

    def verdict(scale: float) -> str:
        return str(
            mismatch.json("judge", "--rtol", str(tight["rtol"] * scale), "--atol", str(tight["atol"] * scale))["cells"][
                0
            ]["verdict"]
        )

    assert (verdict(1), verdict(0.98)) == ("match", "mismatch")
    line = re.search(rf"rtol (\S+), atol (\S+)  {re.escape(CELL)}", mismatch("judge", "--rtol", "1e-3")[1])
    assert line is not None and float(line[1]) == tight["rtol"] and float(line[2]) == tight["atol"]


def test_nothing_allowed_still_says_what_would_pass(mismatch: Project) -> None:
    found = mismatch.json("judge", "--rtol", "0", "--atol", "0")["judged"]["tightest"]
    assert found == mismatch.json("judge", "--rtol", "1e-3", "--atol", "1e-5")["judged"]["tightest"]


def test_what_no_tolerance_helps(project: Project) -> None:
    project.engine.script = lambda work, spec: wrong(work, spec, npz([1.0, 2.0]))
    project("run", "--tier", "known", "--only", "opset=9")
    code, out, _ = project("judge", "--rtol", "1e9")
    assert code == 0 and "none of 1 cells changes" in out and f"none would  {CELL}" in out


def test_another_kind_of_number(mismatch: Project) -> None:
    assert "none of 1 cells" in mismatch("judge", "--rtol", "1", "--kind", "float16", "--kind", "integer")[1]
    assert "1 of 1 cells" in mismatch("judge", "--rtol", "1", "--kind", "float16", "--kind", "float32")[1]


def test_markdown(mismatch: Project) -> None:
    out = mismatch("judge", "--rtol", "1e-2", "--format", "md")[1]
    assert "| **match** |" in out and "mismatch → match (1)" in out and f"| {CELL} | match | 5.0" in out


def test_an_older_run(mismatch: Project) -> None:
    mismatch.engine.script = good
    mismatch.json(*RERUN, "--again")
    assert mismatch.json("judge", "--rtol", "1e-3")["run"] == 2
    first = mismatch.json("judge", "--rtol", "1e-3", "--run", "1")
    assert (first["run"], first["cells"][0]["verdict"]) == (1, "mismatch")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], errors.UsageError.exit_code, "use --rtol"),
        (["--rtol", "-1"], errors.UsageError.exit_code, "--rtol"),
        (["--rtol", "nan"], errors.UsageError.exit_code, "--rtol"),
        (["--rtol", "1", "--kind", "text"], errors.UsageError.exit_code, "--kind"),
        (["--rtol", "1", "--run", "9"], errors.UsageError.exit_code, "there is no run 9"),
    ],
)
def test_wrong_use(mismatch: Project, arguments: list[str], code: int, words: str) -> None:
    ended, out, err = mismatch("judge", *arguments)
    assert (ended, out) == (code, "") and words in err


def test_no_run(project: Project) -> None:
    ended, _, err = project("judge", "--rtol", "1")
    assert ended == errors.NothingSelected.exit_code and "no run yet" in err


def test_a_models_own_tolerance_is_replaced_too(project: Project) -> None:
    text = small.changed(
        "    outputs: [y]\n  - id: other",
        "    outputs: [y]\n    tolerances: {float32: {rtol: 0.5, atol: 0.25}}\n  - id: other",
    )
    project.write(text)
    table = load_config(project.root / "matrix.yml")
    changed = with_tolerances(table, ("float32",), 1e-6, None)
    net, other, unknown = (tolerances_of(changed, name) for name in ("net", "other", ""))
    assert (net.float32, other.float32) == (Tolerance(1e-6, 0.25), Tolerance(1e-6, 1e-5))
    assert unknown.float32 == Tolerance(1e-6, 1e-5) and net.integer == EXACT
    assert tolerances_of(table, "net").float32 == Tolerance(0.5, 0.25)


@pytest.mark.parametrize("value", [0.0, 1e-300, 1.0, 0.001, 9.999e-5, 123456.789, 1 / 3])
def test_rounding_is_upwards(value: float) -> None:
    rounded = rounded_up(value)
    assert value <= rounded <= value * 1.011
    assert float(f"{rounded:.2e}") == rounded


# --- cells that match with changes -----------------------------------------------------------------------------------


@pytest.fixture
def changed(project: Project) -> Project:
    """A run in which a lower IR version lets the converter read the file, but its numbers are wrong."""
    script = too_new(project, lambda spec: wrong("convert", spec))
    project.engine.script = lambda work, spec: wrong(work, spec) if work == "reload" else script(work, spec)
    (cell,) = project.json(*RUN, "--remedy")["cells"]
    assert (cell["verdict"], cell["remedied"], cell["tried"][0]["verdict"]) == ("error", None, "mismatch")
    return project


def test_a_match_with_changes_is_a_change_of_the_verdict(changed: Project) -> None:
    found = changed.json("judge", "--rtol", "1e-2")
    (cell,) = found["cells"]
    assert (cell["verdict"], cell["remedied"]) == ("error", ["ir_version 9→8"])
    assert found["judged"]["changes"] == [{"cell": cell["cell"], "before": "error", "after": "match with"}]
    assert "1 of 1 cells change: error → match with (1)" in changed("judge", "--rtol", "1e-2")[1]
    assert "none of 1 cells changes its verdict" in changed("judge", "--rtol", "2e-3")[1]


def test_the_tightest_tolerance_is_of_the_numbers_with_the_changes(changed: Project) -> None:
    [tight] = changed.json("judge", "--rtol", "1e-2", "--atol", "1e-5")["judged"]["tightest"]
    assert (tight["cell"], tight["leg"]) == ("net/torch-1.12.1@8/new", "onnxruntime-tensorflow")
    assert tight["factor"] == pytest.approx(0.025 / 0.05001, rel=1e-4)
    # Of a cell that fails there are no numbers to be tight about.
    assert changed.json("judge", "--rtol", "2e-3")["judged"]["tightest"] == []
