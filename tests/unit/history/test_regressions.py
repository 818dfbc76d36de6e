"""Timelines: the conclusions on every cell, read once, judged once, and their changes."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import pytest
from bench import BROKEN, INFRA, Bench, Cell
from hypothesis import given
from hypothesis import strategies as st

from matrix.history import Conclusion, History, Timeline, read_history
from matrix.judging.cells import CellResult, Judge
from matrix.judging.finding import Finding
from matrix.judging.reasons import known_reasons
from matrix.table import load_config
from matrix.table.ids import CellId

FAILS = "no such operator"
A, B = Cell("a").id, Cell("b").id


def read(bench: Bench, newest: Callable[[CellResult, int], None] | None = None, **options: object) -> History:
    config = load_config(bench.root / "matrix.yml", known_reasons())
    return read_history(bench.store, Judge(config, bench.store), {}, newest, **options)  # type: ignore[arg-type]


def verdicts(history: History, cell: str) -> list[tuple[int, str]]:
    return [(run, history.conclusions[number].finding.verdict) for run, number in history.timelines[cell]]


def kinds(history: History, run: int) -> dict[str, str]:
    return {change.cell: change.kind for change in history.changes(run)}


def test_cells_run_by_run(bench: Bench) -> None:
    bench.run(Cell("a"), Cell("b", failed=FAILS))
    bench.run(Cell("a", failed=FAILS))
    bench.run(Cell("a"), Cell("b"))
    history = read(bench)
    assert [run.id for run in history.runs] == [1, 2, 3] and list(history.timelines) == [A, B]
    assert verdicts(history, A) == [(0, "match"), (1, "error"), (2, "match")]
    assert verdicts(history, B) == [(0, "error"), (2, "match")]
    assert kinds(history, 0) == {A: "new", B: "new"} and kinds(history, 1) == {A: "broke"}
    assert kinds(history, 2) == {A: "mended", B: "mended"}
    assert len(set(history.conclusions)) == len(history.conclusions)


def test_nothing_is_concluded_of_numbers_whose_family_is_not_installed(bench: Bench) -> None:
    """Only the family knows how numbers are compared; failures do not depend on it."""
    bench.run(Cell("a", family="gone"), Cell("b", failed=FAILS, family="gone"))
    history = read(bench)
    assert verdicts(history, A) == [(0, "unavailable")] and verdicts(history, B) == [(0, "error")]
    (found,) = (history.conclusions[number].finding for _, number in history.timelines[A])
    assert found.reason == "family-not-installed" and "gone" in found.title


def test_what_rests_on_the_same_observations_is_judged_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bench.run(Cell("a"), Cell("b", failed=FAILS))
    for _ in range(5):
        bench.repeat(first)
    judged: list[str] = []
    cell = Judge._cell

    def counting(self: Judge, record: object, *rest: object) -> CellResult:
        judged.append(record.cell)  # type: ignore[attr-defined]
        return cell(self, record, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Judge, "_cell", counting)
    history = read(bench)
    assert judged == [A, B] and [run for run, _ in history.timelines[B]] == [0, 1, 2, 3, 4, 5]
    assert history.timelines[A].changes() == [(0, history.timelines[A].newest[1])]


def test_the_newest_result_of_every_cell_comes_in_the_order_of_ids(bench: Bench) -> None:
    first = bench.run(Cell("b"), Cell("a"))
    bench.run(Cell("b", failed=FAILS))
    bench.repeat(first)
    bench.run(Cell("c"))
    seen: list[tuple[str, int, str, bool]] = []
    read(bench, lambda r, run: seen.append((r.record.cell[-1], run, r.finding.verdict, r.cached)))
    assert seen == [("a", 2, "match", True), ("b", 2, "match", True), ("c", 3, "match", False)]


def test_indeterminate_results_change_nothing(bench: Bench) -> None:
    bench.run(Cell("a"), Cell("b", failed=FAILS))
    bench.run(*(Cell(name, obstacles={"convert": INFRA}) for name in "ab"))
    bench.run(Cell("a", failed=FAILS), Cell("b", failed=FAILS))
    history = read(bench)
    assert history.changes(1) == [] and history.silent(1) == 2 and history.silent(0) == 0
    (change,) = history.changes(2)
    assert (change.cell, change.kind, change.before_run) == (A, "broke", 0)
    (regression,) = history.regressions()
    assert (regression.run, regression.before_run, regression.cells, regression.new) == (2, 0, (A,), True)


def test_what_a_search_tried_is_no_cell_of_history(bench: Bench) -> None:
    bench.run(Cell("a"), Cell("a~now"), Cell("a~2022-05-28"))
    assert list(read(bench).timelines) == [A, f"{A}~now"]
    number = bench.store.begin_run("blame", "venv", "blame", 1, {})
    bench.store.add_cells(number, bench.store.cells(1)[:1])
    assert [run.id for run in read(bench).runs] == [1]


def test_only_the_cells_that_are_wanted(bench: Bench) -> None:
    bench.run(Cell("a"))
    bench.run(Cell("b"))
    history = read(bench, wanted=lambda cell: cell == B)
    assert list(history.timelines) == [B] and [run.id for run in history.runs] == [2]


def test_another_title_is_no_change() -> None:
    assert Conclusion(Finding("oom", "converter", "convert", "memory-limit", "4096 MB")).same(
        Conclusion(Finding("oom", "converter", "convert", "memory-limit", "2048 MB"))
    )
    assert not Conclusion(Finding("oom")).same(Conclusion(Finding("timeout")))


def test_whom_a_conclusion_speaks_of() -> None:
    assert CellId.parse("net/torch-1.2.0~now@9/row").environment_of("exporter") == "torch-1.2.0~now"
    assert CellId.parse("net/torch-1.2.0@9/row~now").environment_of("converter") == "row~now"
    assert CellId.parse("net/torch-1.2.0@9/row").environment_of(None) == "row"
    assert CellId.parse("net/file/row").environment_of("exporter") == "file"


def test_what_was_mended_is_known_by_the_key_of_what_broke(bench: Bench) -> None:
    bench.run(Cell("a"), Cell("b"))
    bench.run(Cell("a", failed=FAILS), Cell("b", failed=FAILS))
    broken = {item.environment: item.key for item in read(bench).regressions()}
    assert not read(bench).mended()
    bench.run(Cell("a"), Cell("b", obstacles={"convert": INFRA}))
    assert read(bench).mended() == {broken["a"]}


def test_as_it_was_after_a_run(bench: Bench) -> None:
    bench.run(Cell("a"), Cell("b"))
    bench.run(Cell("a", failed=FAILS))
    bench.run(Cell("a"))
    then = read(bench).until(1)
    assert list(then.timelines) == [A] and [item.cells for item in then.regressions()] == [(A,)]
    assert read(bench).regressions() == []


def test_of_a_row_that_the_table_has_no_more_nothing_stands(bench: Bench) -> None:
    bench.run(Cell("a"), Cell("b"))
    bench.run(Cell("a", failed=FAILS), Cell("b", failed=FAILS))
    history = read(bench, current=lambda environment: environment == "a")
    (found,) = history.regressions()
    assert found.environment == "a" and history.retired() == {
        item.key for item in read(bench).regressions() if item.environment == "b"
    }
    assert [item.environment for item in history.until(1).regressions()] == ["a"]


def test_an_exporter_that_broke_is_one_regression(bench: Bench) -> None:
    bench.run(Cell("a"), Cell("b"))
    bench.run(*(Cell(name, obstacles={"export": BROKEN}) for name in "ab"))
    (found,) = read(bench).regressions()
    assert found.environment == "torch-1.2.0" and found.cells == (A, B)


# --- laws

GOOD, BAD, WORSE, SILENT = range(4)
CONCLUSIONS = (
    Conclusion(Finding("match")),
    Conclusion(Finding("error", "converter", "import", "protobuf-too-new")),
    Conclusion(Finding("error", "converter", "run", "op-not-implemented")),
    Conclusion(Finding("infra", "converter", "build", "index-dns")),
)


def history_of(said: list[int]) -> History:
    timeline = Timeline(array("H", range(len(said))), array("I", said), array("q", range(len(said))))
    runs = tuple(None for _ in said)
    return History(runs, CONCLUSIONS, {A: timeline})  # type: ignore[arg-type]


@given(st.lists(st.integers(GOOD, SILENT), max_size=12))
def test_folding_the_changes_gives_the_last_finding(said: list[int]) -> None:
    history = history_of(said)
    state = None
    for run in range(len(said)):
        for change in history.changes(run):
            assert change.before == state
            state = change.after
    findings = [number for number in said if number != SILENT]
    assert state == (findings[-1] if findings else None)


@given(st.lists(st.integers(GOOD, SILENT), max_size=12))
def test_a_regression_stands_where_the_last_finding_is_bad_and_one_before_was_good(said: list[int]) -> None:
    findings = [number for number in said if number != SILENT]
    stands = bool(findings) and findings[-1] != GOOD and GOOD in findings
    found = history_of(said).regressions()
    assert bool(found) is stands
    if found:
        good = max(run for run, number in enumerate(said) if number == GOOD)
        assert found[0].before_run == good < found[0].run
        assert found[0].run == min(run for run, n in enumerate(said) if run > good and n in (BAD, WORSE))
