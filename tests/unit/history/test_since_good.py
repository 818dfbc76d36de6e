"""`compare`: cells that broke between two runs, and cells broken since they last matched."""

from __future__ import annotations

import pytest
from bench import BROKEN, DIFFERENT, EQUAL, INFRA, NO_PYTHON, REGRESSED, UNSURE, Bench, Cell
from small import observation

from matrix.core import errors
from matrix.history.causes import explain, package_changes, words

FAILS = "no such operator"
A, B = Cell("a").id, Cell("b").id


def last_good(bench: Bench, *arguments: str) -> tuple[int, dict[str, object]]:
    return bench.json("--last-good", *arguments)


def test_only_what_broke_fails_where_that_is_asked(bench: Bench) -> None:
    bench.run(Cell("a"), Cell("b", failed=FAILS), Cell("c"))
    bench.run(Cell("a"), Cell("b"), Cell("d"))
    assert bench()[0] == DIFFERENT
    assert bench("--fail-on", "regression")[0] == EQUAL
    bench.run(Cell("a", failed=FAILS), Cell("b"))
    code, out, err = bench("--fail-on", "regression")
    assert code == REGRESSED and "1 of which no longer match" in err
    assert f"no longer match:\n  {A}: match → error converter/save unrecognised\n" in out


@pytest.mark.parametrize("obstacle", [INFRA, NO_PYTHON])
def test_what_could_not_be_measured_is_no_regression(bench: Bench, obstacle: object) -> None:
    bench.run(Cell("a"))
    bench.run(Cell("a", obstacles={"convert": obstacle}))  # type: ignore[dict-item]
    assert bench()[0] == UNSURE and bench("--fail-on", "regression")[0] == EQUAL
    code, found = last_good(bench)
    assert code == EQUAL and found["regressions"] == [] and found["indeterminate"] == 1
    bench.run(Cell("a", obstacles={"convert": BROKEN}))
    code, found = last_good(bench)
    assert code == REGRESSED and found["regressions"][0]["last_good"] == 1  # type: ignore[index]


def test_the_document_says_what_broke_and_why(bench: Bench) -> None:
    bench.run(Cell("a"), Cell("b", failed=FAILS), Cell("c", failed=FAILS))
    bench.run(Cell("a", failed=FAILS), Cell("b"), Cell("c", failed="ValueError: other"))
    code, found = bench.json()
    assert code == REGRESSED and (found["counts"]["regressed"], found["counts"]["mended"]) == (1, 1)
    assert [cell["change"] for cell in found["cells"]] == ["broke", "mended", None]
    assert found["cells"][0]["why"]["same_environment"] is True


def test_one_that_stands_is_told_every_night_and_is_new_in_the_first(bench: Bench) -> None:
    bench.run(Cell("a"), Cell("b"))
    bench.run(Cell("a"), Cell("b", failed=FAILS))
    bench.run(Cell("a"), Cell("b", failed=FAILS))
    code, found = last_good(bench, "2")
    assert code == REGRESSED and [item["new"] for item in found["regressions"]] == [True]  # type: ignore[attr-defined]
    assert last_good(bench, "--fail-on", "new")[0] == EQUAL
    code, found = last_good(bench)
    (item,) = found["regressions"]  # type: ignore[misc]
    assert code == REGRESSED and (item["new"], item["since"], item["last_good"], item["cells"]) == (False, 2, 1, [B])  # type: ignore[index]
    _, out, err = bench("--last-good")
    assert "still broken:\n  b, converter/save: unrecognised" in out and "last matched in run 1" in out
    assert "run 3: 1 cell that matched before is broken, 0 of them new in this run" in err


def test_mended_and_broken_again(bench: Bench) -> None:
    bench.run(Cell("a"))
    bench.run(Cell("a", failed=FAILS))
    bench.run(Cell("a"))
    code, found = last_good(bench)
    assert code == EQUAL and found["mended"] == [A]
    bench.run(Cell("a", failed=FAILS))
    code, again = last_good(bench)
    assert code == REGRESSED and again["regressions"][0]["last_good"] == 3  # type: ignore[index]
    assert again["regressions"][0]["key"] == last_good(bench, "2")[1]["regressions"][0]["key"]  # type: ignore[index]


def test_what_never_matched_is_no_regression_and_a_run_speaks_of_its_own_cells(bench: Bench) -> None:
    bench.run(Cell("a"), Cell("b", failed=FAILS))
    bench.run(Cell("a", failed=FAILS))
    bench.run(Cell("b", failed="ValueError: other"))
    assert last_good(bench)[0] == EQUAL and last_good(bench, "-2")[0] == REGRESSED
    code, out, _ = bench("--last-good", "2", "--format", "md")
    assert code == REGRESSED and f"| new in run 2 | `{A}` |" in out


def test_what_a_log_says_means_nothing_in_markdown(bench: Bench) -> None:
    bench.run(Cell("a"))
    bench.run(Cell("a", failed="<img src=x> @someone [here](http://example.org) | #1"))
    code, out, _ = bench("--last-good", "--format", "md")
    assert code == REGRESSED and "&lt;img src=x&gt;" in out
    assert not any(active in out for active in ("<img", "@someone", "[here]", " | #1"))


def test_cells_that_broke_in_one_way_are_one_regression(bench: Bench) -> None:
    cells = [Cell("old"), Cell("new")]
    bench.run(*cells)
    bench.run(*(Cell(cell.converter, obstacles={"export": BROKEN}) for cell in cells))
    _, found = last_good(bench)
    (item,) = found["regressions"]  # type: ignore[misc]
    assert item["environment"] == "torch-1.2.0" and item["role"] == "exporter" and len(item["cells"]) == 2  # type: ignore[index]


@pytest.mark.parametrize(
    "arguments",
    [
        ("1", "2", "--last-good"),
        ("--last-good", "--common"),
        ("--last-good", "--fail-on", "difference"),
        ("--fail-on", "new"),
        ("--last-good", "9"),
        ("--last-good", "-9"),
    ],
)
def test_wrong_usage(bench: Bench, arguments: tuple[str, ...]) -> None:
    for _ in range(2):
        bench.run(Cell("a"))
    assert bench(*arguments)[0] == errors.UsageError.exit_code


def test_last_good_without_a_run(bench: Bench) -> None:
    assert bench("--last-good")[0] == errors.NothingSelected.exit_code


# --- why


def environment(name: str, **installed: str) -> object:
    made = observation("convert", id=hash(name))
    return made.__class__(**{**made.__dict__, "environment_id": name, "installed": dict(installed)})


def test_the_packages_that_changed_explain_it() -> None:
    before, after = environment("x", numpy="1.26", six="1"), environment("y", numpy="2.0", onnx="1.12")
    found = explain(before, after)  # type: ignore[arg-type]
    assert found.packages == (("numpy", "1.26", "2.0"), ("onnx", None, "1.12"), ("six", "1", None))
    assert not found.same_environment
    assert (
        "numpy 1.26 → 2.0" in found.sentence
        and "six 1 removed" in found.sentence
        and "onnx 1.12 added" in found.sentence
    )


def test_the_larger_steps_are_named_first() -> None:
    before = dict.fromkeys("abcdef", "1.2.3")
    after = {"a": "1.2.4", "b": "1.2.5", "c": "1.3.0", "d": "2.0.0", "e": "1.2.3", "f": "1.2.9"}
    assert words(package_changes(before, after)).startswith("d 1.2.3 → 2.0.0, c 1.2.3 → 1.3.0, a 1.2.3 → 1.2.4")
    assert words(package_changes(before, after)).endswith("and 1 more")


def test_why_where_no_package_changed() -> None:
    one, same, other = environment("x", numpy="1"), environment("x", numpy="1"), environment("y", numpy="1")
    assert "the observations are the same" in explain(one, one).sentence  # type: ignore[arg-type]
    object.__setattr__(same, "id", 7)
    assert "the environment is the same" in explain(one, same).sentence  # type: ignore[arg-type]
    assert "differs in engine" in explain(one, other).sentence  # type: ignore[arg-type]
    assert "can no longer be built" in explain(one, environment("z")).sentence  # type: ignore[arg-type]
    assert "could not be built before" in explain(environment("z"), one).sentence  # type: ignore[arg-type]
    assert "did not run before" in explain(None, one).sentence  # type: ignore[arg-type]
