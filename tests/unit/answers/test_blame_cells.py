"""A search for the culprit on a fake index and a fake engine: which lock is run, what is run once, what is stored."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import Deed, good
from time_world import CELL, MOVED, NOW, THEN, Fault, TimeProject

from matrix.answers import use_cases as driver
from matrix.answers.blame import cells as blaming
from matrix.answers.blame import runner as inquiry
from matrix.answers.blame.report import BlameReport
from matrix.answers.blame.types import Measured
from matrix.app.run_options import Bounds, RunOptions
from matrix.app.runtime import Runtime, open_runtime
from matrix.core import errors
from matrix.history.then_and_now import BothSides, both_sides
from matrix.store import Store
from matrix.table.ids import EnvironmentName

ONE = ("--only", f"cell={CELL}")
OTHER = "net/torch-1.12.1@7/new~now"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> TimeProject:
    return TimeProject(tmp_path, monkeypatch, capsys)


@pytest.fixture
def broken(project: TimeProject) -> TimeProject:
    """protobuf 4 is too new for the converter."""
    project.engine.faults.append(Fault({"protobuf": ">=4"}))
    return project


def blame(
    project: TimeProject,
    cell: str = CELL,
    now: dt.date = NOW,
    runs: int = 30,
    seconds: float | None = None,
    **more: Any,
) -> BlameReport:
    return driver.blame(project.session(), RunOptions(as_of=now), cell, now, Bounds(runs, seconds), **more)


@contextlib.contextmanager
def history(project: TimeProject) -> Iterator[Store]:
    with contextlib.closing(project.session().state.open_store(None)) as store:
        yield store


def culprits(story: BlameReport) -> list[tuple[str, str | None]]:
    return [(one.package, one.after) for one in story.blame.transitions[0].culprits or ()]


# --- one cell --------------------------------------------------------------------------------------------------------


def test_who_broke_it_and_what_cures_it(broken: TimeProject) -> None:
    story = blame(broken)
    assert (story.cell, story.role, story.row, story.blame.kind) == (MOVED, "converter", "new", "broken")
    first = story.blame.transitions[0]
    assert culprits(story) == [("protobuf", "4.21.1")]
    assert (first.before.packages["protobuf"], first.after.recipe.as_of) == ("3.20.1", dt.date(2022, 5, 28))
    assert first.measured.finding.reason == "protobuf-too-new"
    assert story.blame.cure is not None and story.blame.cure.ranges == (("protobuf", "<4"),)
    assert story.cured == f"{CELL}~2022-06-10+protobuf-below-4"
    # When it was uploaded is what the index says of it.
    assert story.uploaded["protobuf", "4.21.1"] == dt.date(2022, 5, 27)


def test_then_is_the_committed_lock_and_nothing_else(broken: TimeProject) -> None:
    """What the index would answer for that day today does not count."""
    broken.index.released["numpy"]["1.21.9"] = "2021-12-31"
    story = blame(broken)
    assert story.blame.then.packages["numpy"] == "1.21.5" and "1.21.5" in {
        packages["numpy"] for _, name, packages in broken.engine.worked if name == "new"
    }
    assert not [r for r in broken.index.asked if r.as_of == THEN and r.name.startswith("new~") and not r.constraints]
    assert story.blame.outcomes[story.blame.then.digest].cell == CELL


def test_only_the_environment_in_question_moves(broken: TimeProject) -> None:
    blame(broken)
    by_work: dict[str, set[str]] = {}
    for work, name, _ in broken.engine.worked:
        by_work.setdefault(work, set()).add(name)
    assert by_work["export"] == {"torch-1.12.1"} and by_work["reference"] == {"reference"}
    assert all(EnvironmentName.parse(name).row.stem == "new" for name in by_work["convert"])
    assert {request.python for request in broken.index.asked} == {"3.9"}
    assert {request.role for request in broken.index.asked} == {"converter"}


def test_nothing_is_run_twice(broken: TimeProject) -> None:
    story = blame(broken)
    ran = Counter(tuple(sorted(p.items())) for work, _, p in broken.engine.worked if work == "convert")
    assert set(ran.values()) == {1} and len(ran) == story.blame.tests
    # Nor what a run before has found, nor by the same question asked again.
    worked = len(broken.engine.worked)
    again = blame(broken)
    assert len(broken.engine.worked) == worked and again.builds == 0
    assert culprits(again) == culprits(story) and again.blame.tests == story.blame.tests
    assert again.run == story.run + 1


def test_what_a_run_of_now_found_is_not_found_again(broken: TimeProject) -> None:
    broken.now(*ONE)
    broken.engine.worked.clear()
    story = blame(broken)
    tried = {tuple(sorted(p.items())) for work, _, p in broken.engine.worked if work == "convert"}
    assert len(tried) == story.blame.tests - 2


def test_builds_are_counted_for_the_search_alone(broken: TimeProject) -> None:
    story = blame(broken)
    # The converter's, and once each the exporter's and the reference's.
    assert story.builds == story.blame.tests + 2
    assert story.builds == len(broken.engine.there)


def test_what_was_run_can_be_looked_up_and_made_again(broken: TimeProject) -> None:
    story = blame(broken)
    assert story.cured is not None
    with history(broken) as store:
        kept = store.resolutions.of_run(story.run)
        cells = store.cell_ids()
        record = store.blames.newest([MOVED])[MOVED]
        runs = store.runs()
    measured = {one.cell for one in story.blame.outcomes.values() if one.cell}
    assert measured == set(cells) and story.cured in measured
    # Every environment but that of then, which has a file.
    assert {cell.rpartition("/")[2] for cell in cells} - {"new"} == kept.keys()
    cured = kept[story.cured.rpartition("/")[2]]
    assert cured.digest == story.blame.cure.environment.digest  # type: ignore[union-attr]
    assert cured.packages["protobuf"] == "3.20.1" and cured.packages["numpy"] == "1.22.4"
    assert record.run == story.run and record.story["cure"]["cell"] == story.cured
    assert record.picture.lstrip().startswith("<svg") and record.story["now"]["digest"] == story.blame.now.digest
    assert [(run.tier, run.as_of, run.planned) for run in runs] == [("blame", NOW, len(cells))]
    assert json.loads(json.dumps(record.story)) == record.story


def test_a_day_to_begin_with(broken: TimeProject) -> None:
    story = blame(broken, good=dt.date(2022, 5, 1))
    assert story.blame.then.recipe.as_of == dt.date(2022, 5, 1) and culprits(story) == [("protobuf", "4.21.1")]
    assert story.blame.then.packages["protobuf"] == "3.20.1"
    with pytest.raises(errors.UsageError, match="--good 2022-02-01: new is resolved as of 2022-02-16"):
        blame(broken, good=dt.date(2022, 2, 1))


def test_the_cell_of_now_means_the_same(broken: TimeProject) -> None:
    assert culprits(blame(broken, MOVED)) == [("protobuf", "4.21.1")]


def test_nobody_is_to_blame_for_what_works(project: TimeProject) -> None:
    story = blame(project)
    assert (story.blame.kind, story.blame.tests, story.cured) == ("works", 2, None)


def test_what_never_worked(project: TimeProject) -> None:
    project.engine.faults.append(Fault({"protobuf": ">=3"}))
    story = blame(project)
    assert (story.blame.kind, story.blame.tests) == ("never worked", 2)


def test_what_was_mended(project: TimeProject) -> None:
    project.engine.faults.append(Fault({"protobuf": "<3.20"}))
    story = blame(project)
    assert story.blame.kind == "mended" and story.blame.transitions[0].before.packages["protobuf"] == "3.20.1"


def test_the_ranges_of_a_remedy_are_hints(project: TimeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Measured] = []
    told = inquiry.measured
    monkeypatch.setattr(inquiry, "measured", lambda *given: seen.append(told(*given)) or seen[-1])
    project.engine.faults.append(Fault({"protobuf": ">=4"}))
    blame(project)
    assert {one.hints for one in seen if one.finding.reason == "protobuf-too-new"} == {((("protobuf", "<4"),),)}
    assert {one.hints for one in seen if one.finding.verdict == "match"} == {()}
    assert all(one.cell for one in seen)


def test_an_end_that_cannot_be_measured(project: TimeProject) -> None:
    from matrix.environments.engine import BuildFailed

    project.engine.broken[f"new~{NOW}"] = BuildFailed("infra", "index-dns", "no network")
    story = blame(project)
    assert (story.blame.kind, story.blame.transitions) == ("indeterminate", ())


def test_a_row_without_a_solution_now_is_broken_without_a_run(project: TimeProject) -> None:
    project.index.released["protobuf"].clear()
    story = blame(project)
    assert story.blame.kind == "broken" and not story.blame.now.solved
    assert "No solution found" in story.blame.now.explanation
    assert not any(name == f"new~{NOW}" for _, name, _ in project.engine.worked)


# --- the other environment -------------------------------------------------------------------------------------------


def test_the_exporter_may_be_the_one_that_moved(project: TimeProject) -> None:
    project.engine.faults.append(Fault({"typing-extensions": ">=4.2"}, "no attribute 'x'", "export"))
    name = "net/torch-1.12.1~now@8/new"
    story = blame(project, name)
    assert (story.cell, story.role, story.row, story.blame.kind) == (name, "exporter", "torch-1.12.1", "broken")
    assert culprits(story) == [("typing-extensions", "4.2.0")]
    # What cures it is the environment of then, and it is known that the cell is good in that.
    assert story.blame.cure is not None and story.blame.cure.ranges == (("typing-extensions", "<4.2"),)
    assert story.cured == CELL and story.blame.cure.environment.digest == story.blame.then.digest
    assert {n for work, n, _ in project.engine.worked if work == "convert"} == {"new"}
    # Without its mark the name is that of the converter's cell, and that one works.
    assert blame(project).blame.kind == "works"


def test_a_build_of_torch_is_blamed_as_that_build(project: TimeProject) -> None:
    project.engine.faults.append(Fault({"typing-extensions": ">=4.2"}, "no attribute 'x'", "export"))
    session = project.session().selecting(torch_build="cpu")
    story = driver.blame(session, RunOptions(), "net/torch-2.13.0-torchscript~now@10/old", NOW, Bounds(30))
    assert (story.row, story.blame.kind) == ("torch-2.13.0", "broken")
    assert culprits(story) == [("typing-extensions", "4.2.0")]
    assert {request.requirements for request in project.index.asked} == {("torch==2.13.0+cpu",)}
    assert all(n.endswith(".cpu") for work, n, _ in project.engine.worked if work == "export")


def test_a_file_has_no_exporter_to_blame(project: TimeProject) -> None:
    (project.root / "net.onnx").write_bytes(b"x")
    session = project.session()
    given = session.stated.models[0].model_copy(
        update={"id": "mine", "factory": None, "onnx": str(project.root / "net.onnx"), "builder": None}
    )
    session = session.selecting(given=(given,))
    with pytest.raises(errors.UsageError, match="a model file has no exporter"):
        driver.blame(session, RunOptions(), "mine/file~now/new", NOW, Bounds(30))


# --- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runs", [2, 3, 4])
def test_no_more_runs_than_allowed(broken: TimeProject, runs: int) -> None:
    story = blame(broken, runs=runs)
    assert story.blame.stopped and story.blame.tests == runs and story.blame.cure is None
    assert len(set(broken.engine.converted())) == runs


class Clock:
    """time.monotonic, ahead by so many seconds for every conversion."""

    def __init__(self, project: TimeProject, each: float) -> None:
        self.project, self.each, self.real = project, each, time.monotonic

    def __call__(self) -> float:
        return self.real() + self.each * len(self.project.engine.converted())


@pytest.fixture
def hurry(broken: TimeProject, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    def put(each: float) -> None:
        clock = Clock(broken, each)
        for module in (inquiry, blaming):
            monkeypatch.setattr(module.time, "monotonic", clock)

    return put


def test_after_the_deadline_no_run_is_begun(broken: TimeProject, hurry: Callable[[float], None]) -> None:
    hurry(100)
    story = blame(broken, seconds=250)
    assert story.blame.tests == 3 == len(set(broken.engine.converted()))
    assert (story.blame.kind, story.blame.cure) == ("broken", None)
    assert {one.finding.verdict for one in story.blame.outcomes.values()} == {"match", "error"}
    with history(broken) as store:
        assert store.blames.newest([MOVED])[MOVED].run == story.run


def test_a_search_that_the_deadline_cut_short_says_so(broken: TimeProject, hurry: Callable[[float], None]) -> None:
    hurry(100)
    assert blame(broken, seconds=250).blame.stopped


def test_what_needs_no_run_is_answered_after_the_deadline(broken: TimeProject, hurry: Callable[[float], None]) -> None:
    hurry(100)
    story = blame(broken, seconds=10_000)
    assert story.cured is not None and not story.blame.stopped


def test_ctrl_c_ends_it_and_the_same_again_goes_on(broken: TimeProject) -> None:
    def script(work: Any, spec: Any) -> Deed:
        if work == "reload" and len(set(broken.engine.converted())) >= 3:
            signal.raise_signal(signal.SIGINT)
        return good(work, spec)

    broken.engine.script = script
    with pytest.raises(errors.Interrupted, match="same command continues"):
        blame(broken)
    broken.engine.script = good
    there = set(broken.engine.converted())
    broken.engine.worked.clear()
    story = blame(broken)
    assert story.cured is not None
    assert len(set(broken.engine.converted()) & there) <= 1
    with history(broken) as store:
        assert [run.status for run in store.runs()] == ["complete", "interrupted"]


# --- all cells of a run ----------------------------------------------------------------------------------------------


def told(document: Any) -> dict[str, str]:
    return {c["cell"]: c["beside"]["blame"] for c in document["cells"] if c.get("beside", {}).get("blame")}


def test_with_blame_every_cell_that_changed_is_looked_into(broken: TimeProject) -> None:
    found = broken.now("--blame", *ONE)
    (said,) = told(found).values()
    assert told(found).keys() == {MOVED}
    assert "protobuf 4.21.1, uploaded 2022-05-27" in said and "protobuf<4" in said
    with history(broken) as store:
        assert [(run.tier, run.status) for run in store.runs()] == [("blame", "complete"), ("known", "complete")]
        assert store.blames.newest([MOVED])[MOVED].story["answer"] == said
    assert said in broken("show", CELL)[1] and said in broken("show", MOVED)[1]
    assert broken.json("show", MOVED)["blamed"][MOVED]["answer"] == said


def test_the_drift_report_names_the_culprit(broken: TimeProject) -> None:
    broken.now("--as-of", "2022-03-01", *ONE)
    found = broken.now("--blame", *ONE)
    rows = {row["row"]: row for row in found["drift"]["rows"]}
    (verdict,) = rows["new~now"]["verdicts"]
    assert verdict["blame"] == told(found)[MOVED]


def test_what_was_found_out_before_is_told_again(broken: TimeProject) -> None:
    first = told(broken.now("--blame", *ONE))
    asked, worked = len(broken.index.asked), len(broken.engine.worked)
    second = told(broken.now("--blame", *ONE))
    assert second == {MOVED: f"{first[MOVED]} (found in run 2)"}
    assert len(broken.engine.worked) == worked
    # Nothing but the two environments of now was resolved.
    assert {request.name for request in broken.index.asked[asked:]} == {"new~now", "torch-1.12.1~now"}


def test_another_environment_of_now_is_another_question(broken: TimeProject) -> None:
    broken.now("--blame", *ONE)
    broken.index.released["protobuf"]["4.21.2"] = "2022-06-24"
    found = told(broken.now("--blame", "--as-of", "2022-06-30", *ONE))
    assert "found in run" not in found[MOVED] and "4.21.1" in found[MOVED]


def test_an_exporter_that_was_blamed_is_not_blamed_again(project: TimeProject) -> None:
    project.engine.faults.append(Fault({"typing-extensions": ">=4.2"}, "no attribute 'x'", "export"))
    project.now("--blame", *ONE)
    assert "found in run" in told(project.now("--blame", *ONE))["net/torch-1.12.1~now@8/new"]


@pytest.mark.parametrize("build", ["index", "cpu"])
def test_one_of_two_exporters_of_a_row_that_was_blamed_is_not_blamed_again(project: TimeProject, build: str) -> None:
    project.engine.faults.append(Fault({"typing-extensions": ">=4.2"}, "no attribute 'x'", "export"))
    only = ("--only", "exporter=torch-2.13.0-torchscript", "--only", "opset=10", "--only", "converter=old",
            "--model", "net", "--torch-build", build)  # fmt: skip
    project.now("--blame", *only, tier="full")
    found = told(project.now("--blame", *only, tier="full"))
    assert "found in run" in found["net/torch-2.13.0-torchscript~now@10/old"]


def test_the_time_is_for_all_and_the_runs_for_each(broken: TimeProject, hurry: Callable[[float], None]) -> None:
    broken.now("--only", "converter=new")
    hurry(100)
    with workshop_of(broken) as (shop, sides):
        found = blaming.blame_all(shop, sides, NOW, Bounds(30, 150))
    assert [*found] == [OTHER, MOVED]
    assert found[MOVED] == "skipped: the time limit was reached"
    assert found[OTHER].startswith("broken by protobuf 4.21.1") and "fix for today" not in found[OTHER]


@contextlib.contextmanager
def workshop_of(project: TimeProject) -> Iterator[tuple[Runtime, list[BothSides]]]:
    """As `execute` has it when it comes to blaming, with the rows and locks of now; and what broke in run 1."""
    session = project.session()
    options = RunOptions(resolution="both", as_of=NOW)
    with open_runtime(session, options) as shop:
        driver.resolved_now(shop, session.locked_plan(lambda _: None))
        sides = both_sides(shop.judge.cells(shop.store.cells(1), session.locks, 1), {})
        changed = {side.now.record.cell: side for side in sides if side.standing == "worked then, broken now"}
        yield shop, [changed[OTHER], changed[MOVED]]


def test_one_cell_has_what_time_the_others_left(broken: TimeProject, hurry: Callable[[float], None]) -> None:
    broken.now("--only", "converter=new")
    hurry(100)
    with workshop_of(broken) as (shop, sides):
        found = blaming.blame_all(shop, sides, NOW, Bounds(30, 450))
    # Three conversions each beside those of the two days; the second of them has time for two.
    assert "fix for today: protobuf<4" in found[OTHER]
    assert found[MOVED].startswith("broken by protobuf 4.21.1") and "fix for today" not in found[MOVED]


def test_the_runs_are_for_each_cell(broken: TimeProject) -> None:
    broken.now("--only", "converter=new")
    with workshop_of(broken) as (shop, sides):
        found = blaming.blame_all(shop, sides, NOW, Bounds(30))
    assert all("by protobuf 4.21.1" in said for said in found.values()) and len(found) == 2


def test_what_is_wrong_with_one_takes_nothing_from_the_others(broken: TimeProject) -> None:
    """The index stops answering in the middle of the first."""
    broken.now("--only", "converter=new")
    resolve = blaming.LiveResolver.resolve
    asked: list[int] = []

    def failing(self: Any, requests: Any) -> Any:
        asked.append(len(requests))
        if len(asked) == 2:
            raise errors.Indeterminate("the package index did not answer")
        return resolve(self, requests)

    with pytest.MonkeyPatch.context() as patch, workshop_of(broken) as (shop, sides):
        patch.setattr(blaming.LiveResolver, "resolve", failing)
        found = blaming.blame_all(shop, sides, NOW, Bounds(30))
    assert found[OTHER] == "failed: the package index did not answer"
    assert "by protobuf 4.21.1" in found[MOVED]


def test_on_the_rows_own_day_there_is_nothing_between(project: TimeProject) -> None:
    """It broke all the same: what was uploaded before that day is on the index since."""
    project.index.released["protobuf"]["3.19.9"] = "2022-02-01"
    project.engine.faults.append(Fault({"protobuf": "==3.19.9"}))
    found = project.now("--blame", "--as-of", THEN.isoformat(), *ONE)
    assert told(found)[MOVED] == "failed: --bad 2022-02-16: new is resolved as of 2022-02-16; name a later day"


def test_what_stays_as_it_was_is_not_looked_into(project: TimeProject) -> None:
    found = project.now("--blame", *ONE)
    assert told(found) == {} and len(found["cells"]) == 3
    with history(project) as store:
        assert len(store.runs()) == 1


def test_the_bounds_of_the_command_line(broken: TimeProject) -> None:
    found = broken.now("--blame", "--blame-runs", "2", *ONE)
    assert re.match(r"broken between 2022-02-16 and .*; no fix was tried", told(found)[MOVED])
    assert {packages["protobuf"] for _, _, packages in broken.engine.worked if "protobuf" in packages} == {
        "3.19.4",
        "4.21.1",
    }
