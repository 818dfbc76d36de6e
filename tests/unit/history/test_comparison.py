"""`compare`: what counts as equal, what as different, and what as no evidence."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import small
from bench import (
    BROKEN,
    DIFFERENT,
    EQUAL,
    FAR,
    FILES,
    INFRA,
    LITE,
    NEAR,
    NO_PYTHON,
    NO_WHEEL,
    REGRESSED,
    UNSURE,
    VALUES,
    Bench,
    Cell,
)
from small import observation

from matrix.core import errors
from matrix.history.comparison import CellPair, RunComparison
from matrix.judging.cells import CellResult
from matrix.judging.finding import Finding
from matrix.judging.judge import Judgement
from matrix.outputs.terminal.comparison import text
from matrix.store import RunRecord
from matrix.store.records import Obstacle

# --- equal -----------------------------------------------------------------------------------------------------------


def test_two_runs_that_say_the_same(bench: Bench) -> None:
    for engine in ("venv", "docker"):
        bench.run(Cell("old"), Cell("new", failed="no such operator"), engine=engine)
    code, out, err = bench()
    assert (code, err) == (EQUAL, "")
    lines = out.splitlines()
    assert lines[0].startswith("run 1  ") and "known  venv  complete: 2 of 2 cells, jobs 6 run, 0 cached" in lines[0]
    assert lines[1].startswith("run 2  ") and "known  docker  complete: 2 of 2 cells, jobs 6 run, 0 cached" in lines[1]
    assert "cells: 2 equal, 0 differ, 0 not comparable, 0 only in run 1, 0 only in run 2" in out
    assert "numbers: 4 distinct pairs of array files, 4 of them equal byte for byte\n" in out
    assert lines[-1] == "runs 1 and 2 agree: verdict, stage, reason and numbers of all 2 common cells"


def test_numbers_within_the_tolerance_are_equal_and_the_largest_difference_is_named(bench: Bench) -> None:
    bench.run(Cell("old"), Cell("new"))
    bench.run(Cell("old", numbers={"memory.npz": [1.0001, *VALUES[1:]]}), Cell("new", numbers={"reloaded.npz": NEAR}))
    code, out, _ = bench()
    assert code == EQUAL
    assert "largest difference: 1.0e-03 in reloaded.npz of net/torch-1.2.0@9/new" in out
    # The smaller one is 0.099 of 1e-5 + 1e-3 * 1, the larger 0.1996 of 1e-5 + 1e-3 * 5.
    assert "largest share of its tolerance: 2.0e-01 in reloaded.npz of net/torch-1.2.0@9/new" in out
    _, found = bench.json()
    assert found["largest"]["max_abs"]["value"] == pytest.approx(1e-3, rel=1e-3)
    assert found["files"] == {"compared": 6, "identical": 4}


def test_what_repeats_the_others_observations_is_no_second_measurement(bench: Bench) -> None:
    bench.repeat(bench.run(Cell("old"), Cell("new")))
    code, out, _ = bench()
    assert code == EQUAL and "jobs 0 run, 6 cached" in out
    assert "2 cells use the same observations in both runs" in out
    bench.run(Cell("old"), Cell("new"))
    assert "same observations" not in bench()[1]


# --- conclusions -----------------------------------------------------------------------------------------------------

FAILED = Judgement(Finding("error", "converter", "run", "values-differ"))


def pair(one: Judgement, two: Judgement) -> CellPair:
    sides = [
        CellResult(small.cell_record(), observation("export"), None, None, judgement, {}, {}, "3.8", cached=False)
        for judgement in (one, two)
    ]
    return CellPair(*sides)


@pytest.mark.parametrize(
    "change", [{"verdict": "crash"}, {"role": "exporter"}, {"stage": "save"}, {"reason": "nan-mask"}]
)
def test_each_part_of_a_conclusion_counts(change: dict[str, Any]) -> None:
    assert pair(FAILED, small.told(FAILED, title="said otherwise")).state == "equal"
    assert pair(FAILED, small.told(FAILED, **change)).state == "differs"


LOWER, SIMPLER = ("ir_version", "ir_version 9→8"), ("simplify", "onnxsim")


def searched(side: CellResult, *trials: tuple[tuple[tuple[str, str], ...], Judgement]) -> CellResult:
    """The cell after a search that made these changes, with these verdicts."""
    return replace(
        side,
        tried=tuple(
            replace(side, record=small.cell_record(base=side.record.cell, changes=changes), judgement=judgement)
            for changes, judgement in trials
        ),
    )


def test_what_helped_is_part_of_the_conclusion_where_both_looked_for_it() -> None:
    plain = pair(FAILED, FAILED)
    works = Judgement(Finding("match"))
    lower, simpler = (searched(plain.one, ((change,), works)) for change in (LOWER, SIMPLER))
    nothing = searched(plain.one, ((LOWER,), FAILED))
    assert CellPair(lower, simpler).state == "differs" and CellPair(lower, nothing).state == "differs"
    assert CellPair(lower, lower).state == "equal" and CellPair(nothing, nothing).state == "equal"
    # Otherwise tried, the same found.
    longer = searched(plain.one, ((SIMPLER,), FAILED), ((LOWER,), works))
    assert CellPair(lower, longer).state == "equal"
    # A run without the search does not say that nothing helps.
    for side in (lower, nothing):
        assert CellPair(plain.one, side).state == CellPair(side, plain.one).state == "equal"


def test_what_helped_is_said_where_it_differs() -> None:
    plain, works = pair(FAILED, FAILED), Judgement(Finding("match"))
    lower, simpler = (searched(plain.one, ((change,), works)) for change in (LOWER, SIMPLER))
    run = RunRecord(1, dt.datetime(2026, 1, 2), None, "complete", "quick", "venv", "run", 1, 3, 0)
    compared = RunComparison((run, replace(run, id=2)), (CellPair(lower, simpler),), ((), ()))
    assert all(f"match with {words}" in text(compared) for _, words in (LOWER, SIMPLER))


def test_a_change_of_the_verdict(bench: Bench) -> None:
    bench.run(Cell("old"), Cell("new"))
    bench.run(Cell("old", failed="no such operator"), Cell("new"))
    code, out, err = bench()
    assert code == REGRESSED
    assert "no longer match:\n  net/torch-1.2.0@9/old: match → error converter/save unrecognised\n" in out
    assert err.startswith("matrix: runs 1 and 2 differ: 1 of 2 common cells, 1 of which no longer match; ")
    assert " agree: " not in out


def test_cells_with_the_same_change_are_one_group(bench: Bench) -> None:
    cells = [f"c{number:02}" for number in range(12)]
    bench.run(*(Cell(name) for name in cells), Cell("alone", failed="x"))
    bench.run(*(Cell(name, failed="x") for name in cells), Cell("alone"))
    code, out, _ = bench()
    assert code == REGRESSED
    assert out.count("match → error") == 1 and "match → error converter/save unrecognised (12 cells)" in out
    assert out.index("(12 cells)") < out.index("net/torch-1.2.0@9/alone: error converter/save unrecognised → match")
    assert "… and 2 more" in out and "@9/c09" in out and "@9/c10" not in out
    code, out, _ = bench("--format", "md")
    assert code == REGRESSED and all(f"@9/{name} |" in out for name in cells)
    assert out.startswith("**runs 1 and 2 differ: 13 of 13 common cells, 12 of which no longer match**")


# --- numbers ---------------------------------------------------------------------------------------------------------

# A converter that failed at its last stage says the same whatever the numbers are.
FAILS = "no such operator"


@pytest.mark.parametrize("file", FILES)
def test_each_file_is_compared_with_its_like(bench: Bench, file: str) -> None:
    bench.run(Cell(failed=FAILS))
    bench.run(Cell(failed=FAILS, numbers={file: FAR}))
    code, found = bench.json()
    assert code == DIFFERENT
    reasons = {arrays["file"]: arrays["reason"] for arrays in found["cells"][0]["arrays"]}
    assert reasons == {name: "values-differ" if name == file else None for name in FILES}
    assert found["largest"]["max_abs"] == {"cell": "net/torch-1.2.0@9/old", "file": file, "value": 1.0}
    _, out, _ = bench()
    assert f"error converter/save unrecognised in both; {file} values-differ" in out
    assert f"{file}: 0/y: 1 of 5 elements" in out and "-6.0 where the reference has -5.0" in out


def test_what_tensorflow_lite_computed_is_compared_too(bench: Bench) -> None:
    bench.run(Cell(numbers={LITE: VALUES}))
    bench.run(Cell(numbers={LITE: NEAR}))
    bench.run(Cell(numbers={LITE: VALUES}, failed=FAILS))
    bench.run(Cell(numbers={LITE: FAR}, failed=FAILS))
    bench.run(Cell(failed=FAILS))
    code, found = bench.json("1", "2")
    assert code == 0 and found["largest"]["max_abs"]["file"] == LITE
    code, found = bench.json("3", "4")
    assert code == DIFFERENT
    assert [arrays["file"] for arrays in found["cells"][0]["arrays"] if arrays["reason"]] == [LITE]
    assert f"{LITE} only in run 4" in bench("4", "5")[1]


def test_infinite_differences_are_json(bench: Bench) -> None:
    bench.run(Cell(failed=FAILS))
    bench.run(Cell(failed=FAILS, numbers={"memory.npz": [np.inf, *VALUES[1:]]}))
    code, found = bench.json()
    assert code == DIFFERENT and found["largest"]["tightest"]["value"] == "inf"


def test_todays_tolerance_of_the_model_decides(bench: Bench) -> None:
    bench.run(Cell())
    bench.run(Cell(numbers=dict.fromkeys((*FILES, "again.npz"), FAR)))
    assert bench()[0] == DIFFERENT
    looser = "    outputs: [y]\n    tolerances: {float32: {rtol: 0.5, atol: 0.1}}\n  - id: other\n"
    small.table(bench.root, small.changed("    outputs: [y]\n  - id: other\n", looser))
    assert bench()[0] == EQUAL
    small.table(bench.root, small.changed("tiers:\n", "tolerances: {float32: {rtol: 0.5, atol: 0.1}}\ntiers:\n"))
    assert bench()[0] == EQUAL


def test_comparisons_are_remembered(bench: Bench) -> None:
    bench.run(Cell(failed=FAILS))
    bench.run(Cell(failed=FAILS, numbers={"memory.npz": FAR}))
    first = bench.json()
    blobs = bench.root / ".matrix" / "blobs"
    for path in blobs.glob("??/*"):
        path.unlink()
    assert first[0] == DIFFERENT and bench.json() == first


def test_arrays_that_only_one_run_kept_are_said(bench: Bench) -> None:
    bench.run(Cell(failed=FAILS))
    bench.run(Cell(failed=FAILS, numbers={"reloaded.npz": None}))
    code, out, _ = bench()
    assert (
        code == EQUAL and "arrays that only one run kept:\n  net/torch-1.2.0@9/old: reloaded.npz only in run 1" in out
    )
    code, found = bench.json("2", "1")
    assert code == EQUAL and found["cells"][0]["arrays_in_one_run"] == [{"file": "reloaded.npz", "run": 1}]


def test_where_it_ended_elsewhere_other_files_are_no_news(bench: Bench) -> None:
    bench.run(Cell())
    bench.run(Cell(obstacles={"convert": BROKEN}))
    assert "arrays that only one run kept" not in bench()[1]
    assert [item["file"] for item in bench.json()[1]["cells"][0]["arrays_in_one_run"]] == ["memory.npz", "reloaded.npz"]


def test_a_file_that_is_gone_proves_nothing(bench: Bench) -> None:
    bench.run(Cell(failed=FAILS))
    bench.run(Cell(failed=FAILS, numbers={"memory.npz": NEAR}))
    (blob,) = {part.file("memory.npz") for part in bench.store.observations([6]).values()}
    assert blob is not None
    bench.store.blobs.local(blob).unlink()
    code, out, err = bench()
    assert code == UNSURE and "memory.npz arrays-missing" in out and "1 cells cannot be compared" in err
    # What is known to be the same bytes needs no reading.
    bench.run(Cell(failed=FAILS, numbers={"memory.npz": NEAR}))
    bench.store.blobs.local(blob).unlink()
    assert bench("2", "3")[0] == EQUAL


def test_what_cannot_be_read_is_the_same_only_byte_for_byte(bench: Bench) -> None:
    for content in (b"one", b"one", b"two"):
        bench.run(Cell(failed=FAILS, numbers={"memory.npz": content}))
    assert bench("1", "2")[0] == EQUAL
    code, out, _ = bench("2", "3")
    assert code == DIFFERENT and "memory.npz arrays-unreadable" in out


# --- cells of one run only -------------------------------------------------------------------------------------------


def test_a_cell_of_one_run_only_is_a_difference_unless_only_common_ones_matter(bench: Bench) -> None:
    bench.run(Cell("a"), Cell("b"))
    bench.run(Cell("b"), Cell("c"), Cell("d"))
    code, out, err = bench()
    assert code == DIFFERENT and "1 only in run 1, 2 only in run 2" in out
    assert "only in run 1:\n  net/torch-1.2.0@9/a\n" in out and "only in run 2:\n  (2 cells)\n" in out
    assert "differ: 0 of 1 common cells, 3 cells are in only one of them" in err
    code, out, _ = bench("--common")
    assert code == EQUAL and "all 1 common cells" in out and "1 only in run 1, 2 only in run 2" in out
    _, found = bench.json("--common")
    assert [run["only_here"] for run in found["runs"]] == [
        ["net/torch-1.2.0@9/a"],
        ["net/torch-1.2.0@9/c", "net/torch-1.2.0@9/d"],
    ]
    assert [run["cells"] for run in found["runs"]] == [2, 3] and found["counts"]["only_in_one"] == 3


def test_a_difference_is_one_among_common_cells_too(bench: Bench) -> None:
    bench.run(Cell("a"), Cell("b"))
    bench.run(Cell("b", failed=FAILS))
    assert bench("--common")[0] == REGRESSED


def test_nothing_in_common(bench: Bench) -> None:
    bench.run(Cell("a"))
    bench.run(Cell("b"))
    assert bench()[0] == DIFFERENT
    code, out, err = bench("--common")
    assert (code, out) == (errors.NothingSelected.exit_code, "") and "no cell in common" in err


def test_cells_neither_run_reached(bench: Bench) -> None:
    for _ in range(2):
        bench.run(Cell("a"), planned=3)
    code, out, err = bench()
    assert code == UNSURE and "1 of 3 cells" in out and "4 planned cells were not reached" in err
    assert bench("--common")[0] == EQUAL


# --- no evidence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "two", "code"),
    [
        (INFRA, None, UNSURE),
        (None, INFRA, UNSURE),
        (INFRA, INFRA, UNSURE),
        (INFRA, NO_PYTHON, UNSURE),
        (INFRA, BROKEN, UNSURE),
        (NO_PYTHON, None, UNSURE),
        (None, NO_PYTHON, UNSURE),
        (NO_PYTHON, NO_WHEEL, UNSURE),
        (NO_PYTHON, NO_PYTHON, EQUAL),
        (BROKEN, None, DIFFERENT),
        (BROKEN, BROKEN, EQUAL),
    ],
    ids=lambda value: getattr(value, "reason", str(value)),
)
def test_what_says_nothing_is_neither_equal_nor_different(
    bench: Bench, one: Obstacle | None, two: Obstacle | None, code: int
) -> None:
    for obstacle in (one, two):
        bench.run(Cell("a"), Cell("b", obstacles={"convert": obstacle} if obstacle else None))
    ended, out, err = bench()
    assert ended == code
    assert (" agree: " in out) is (code == EQUAL)
    assert ("1 equal, 0 differ, 1 not comparable" in out) is (code == UNSURE)
    assert ("1 cells cannot be compared" in err) is (code == UNSURE)


def test_what_neither_machine_has_is_counted(bench: Bench) -> None:
    for _ in range(2):
        bench.run(Cell("a"), Cell("b", obstacles={"convert": NO_PYTHON}))
    code, out, _ = bench()
    assert code == EQUAL and "2 equal (1 unavailable in both), 0 differ" in out
    assert "all 2 common cells, 1 of them unavailable in both" in out
    assert bench.json()[1]["counts"]["unavailable_in_both"] == 1


def test_runs_in_which_nothing_was_measured_are_not_equal(bench: Bench) -> None:
    for _ in range(2):
        bench.run(Cell(obstacles={"convert": NO_PYTHON}))
    code, _, err = bench()
    assert code == UNSURE and "1 cells are unavailable in both" in err


def test_a_difference_counts_beside_what_says_nothing(bench: Bench) -> None:
    bench.run(Cell("a"), Cell("b"))
    bench.run(Cell("a", failed=FAILS), Cell("b", obstacles={"convert": INFRA}))
    code, out, _ = bench()
    assert code == REGRESSED and "0 equal, 1 differ, 1 not comparable" in out
    assert "not comparable:\n  net/torch-1.2.0@9/b: match → infra converter/build index-dns" in out
    cells = bench.json()[1]["cells"]
    assert [len(cell["arrays"]) for cell in cells] == [4, 0] and cells[1]["arrays_in_one_run"] == []


def test_numbers_of_a_cell_without_reference_are_compared_all_the_same(bench: Bench) -> None:
    missing = {"reference": Obstacle("run", "unavailable", "opset-too-old", "cannot run opset 6")}
    bench.run(Cell("a"), Cell("b", obstacles=missing))
    bench.run(Cell("a"), Cell("b", obstacles=missing, numbers={"memory.npz": NEAR}))
    bench.run(Cell("a"), Cell("b", obstacles=missing, numbers={"memory.npz": FAR}))
    assert bench("1", "2")[0] == EQUAL
    assert bench("1", "3")[0] == DIFFERENT


def test_numbers_that_never_come_out_twice_alike_are_not_compared(bench: Bench) -> None:
    for values in (VALUES, FAR):
        other = {"reference.npz": values, "again.npz": [0.0, *values[1:]], "memory.npz": values}
        bench.run(Cell("a"), Cell("b", numbers=other))
    code, out, _ = bench()
    assert code == EQUAL and "1 unavailable in both" in out


# --- which runs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        ([], [2, 3]),
        (["1"], [1, 3]),
        (["1", "2"], [1, 2]),
        (["3", "1"], [3, 1]),
        (["-3"], [1, 3]),
        (["-3", "-2"], [1, 2]),
        (["--common", "-1", "1"], [3, 1]),
    ],
)
def test_which_runs(bench: Bench, arguments: list[str], runs: list[int]) -> None:
    for _ in range(3):
        bench.run(Cell())
    code, found = bench.json(*arguments)
    assert code == EQUAL and [run["run"] for run in found["runs"]] == runs


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["1", "9"], 2, "there is no run 9"),
        (["-9"], 2, "there is no run -9"),
        (["0"], 2, "there is no run 0"),
        (["2"], 2, "run 2 is compared with itself"),
        (["1", "-2"], 2, "run 1 is compared with itself"),
        (["x"], 2, "not a valid integer"),
        (["--comon"], 2, "--comon"),
        (["--format", "junit"], 2, "--format"),
    ],
)
def test_wrong_use(bench: Bench, arguments: list[str], code: int, words: str) -> None:
    for _ in range(2):
        bench.run(Cell())
    ended, out, err = bench(*arguments)
    assert (ended, out) == (code, "") and words in err


def test_one_run_is_not_enough(bench: Bench) -> None:
    bench.run(Cell())
    code, out, err = bench()
    assert (code, out) == (errors.NothingSelected.exit_code, "") and "two runs are needed, and there are 1" in err
