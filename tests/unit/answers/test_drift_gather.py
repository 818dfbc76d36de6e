"""What a run of now is held against stays true when runs are cut short, rows are locked anew and releases go."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import Any

import pytest
import small
from blame_world import World, day, rules
from packaging.version import Version
from time_world import CELL, MOVED, THEN, Fault, TimeProject

from matrix.answers import use_cases as driver
from matrix.answers.blame import cells as blaming
from matrix.answers.blame.document import document
from matrix.answers.blame.probes import LimitReached
from matrix.answers.blame.report import BlameReport, why
from matrix.answers.blame.search import find_blame
from matrix.answers.blame.text import answer, text
from matrix.answers.blame.types import Blame, Measure, Measured, Recipe, Resolved, Transition
from matrix.answers.drift import gather
from matrix.core import errors
from matrix.environments.engine import BuildFailed
from matrix.environments.locks.request import ImpossiblePin
from matrix.judging.finding import Finding
from matrix.packages.index import IndexSettings, Package, ReleasedFile

ONE = ("--only", f"cell={CELL}")
LATER = ("--as-of", "2022-06-30")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> TimeProject:
    return TimeProject(tmp_path, monkeypatch, capsys)


def rows(document: Any) -> dict[str, Any]:
    return {row["row"]: row for row in document["drift"]["rows"]}


def moves(project: TimeProject) -> None:
    project.index.released["protobuf"]["4.21.2"] = "2022-06-24"
    project.engine.faults.append(Fault({"protobuf": ">=4.21.2"}))


def broken(document: Any) -> list[str]:
    return [change["cell"] for row in document["drift"]["rows"] for change in row["verdicts"] if change["broken"]]


def test_a_run_that_could_not_measure_a_cell_does_not_hide_its_change(project: TimeProject) -> None:
    project.now(*ONE)
    moves(project)
    project.engine.broken["new~now"] = BuildFailed("infra", "index-dns", "no network")
    assert broken(project.now(*ONE, *LATER, code=errors.Indeterminate.exit_code)) == []
    project.engine.broken.clear()
    assert broken(project.now(*ONE, *LATER)) == [MOVED]
    # Told once.
    assert broken(project.now(*ONE, *LATER)) == []


def test_what_a_run_without_a_report_found_is_told_by_the_next(
    project: TimeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.now(*ONE)
    moves(project)
    with monkeypatch.context() as patch:

        def silent(_: Any) -> Any:
            raise errors.Indeterminate("the package index did not answer")

        patch.setattr(gather, "Releases", silent)
        assert "drift" not in project.now(*ONE, *LATER)
    found = project.now(*ONE, *LATER)
    assert broken(found) == [MOVED]
    assert [change["after"] for change in rows(found)["new~now"]["packages"]["raised"]] == ["4.21.2"]


def test_blaming_that_was_ended_leaves_the_drift_report(project: TimeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    project.now(*ONE)
    moves(project)

    def ended(*_: Any) -> Any:
        raise errors.Interrupted("interrupted")

    monkeypatch.setattr(driver, "blame_all", ended)
    code, _, _ = project("run", "--tier", "known", *ONE, "--resolution", "both", *LATER, "--blame")
    assert code == errors.Interrupted.exit_code
    assert broken(project.json("status", "--run", "2")) == [MOVED]


def test_what_another_selection_tells_between_is_not_told_anew(project: TimeProject) -> None:
    lost = ReleasedFile("protobuf-4.21.1-py3-none-any.whl", Version("4.21.1"), "wheel", sha256="1" * 64)
    project.index.pages["protobuf"] = Package("protobuf", (lost,), frozenset({"1" * 64}))

    def new() -> list[str]:
        incidents = rows(project.now(*ONE))["new~now"]["incidents"]
        return [incident["kind"] for incident in incidents if incident["new"]]

    assert new() == ["file-gone"]
    project.now("--only", "converter=old")
    assert new() == []


def test_a_pin_that_left_the_index_is_an_incident_of_then(project: TimeProject) -> None:
    project.index.failing["new~now"] = ImpossiblePin("new~now", "onnx-tf", "1.10.0")
    project.index.pages["onnx-tf"] = Package("onnx-tf")
    found = project.now(*ONE, code=errors.Indeterminate.exit_code)
    assert [(i["kind"], i["package"]) for i in rows(found)["new"]["incidents"]] == [("file-gone", "onnx-tf")]


def test_then_without_a_solution_was_measured_with_another_lock(project: TimeProject) -> None:
    released = project.index.released["protobuf"]
    project.index.released["protobuf"] = {}
    project.write(small.SMALL)
    project.json("run", "--tier", "known", *ONE)
    project.index.released["protobuf"] = released
    project.write(small.SMALL)
    found = project.now("--resolution", "now", *ONE)
    assert {cell["beside"]["standing"] for cell in found["cells"]} == {"not known"}


def test_what_was_measured_under_another_name_counts(project: TimeProject) -> None:
    """A blame measures the environment of now before the next run of now does."""
    project.now(*ONE)
    moves(project)
    assert project("blame", CELL, "--bad", "2022-06-30")[0] == 0
    found = project.now(*ONE, *LATER)
    assert broken(found) == [MOVED]
    code, out, err = project("show", MOVED, "--lock")
    assert code == 0 and "environment: new~now" in out and "protobuf==4.21.2" in out, err
    (cell,) = (c for c in project.now(*ONE, *LATER, "--blame")["cells"] if c["cell"] == MOVED)
    assert "(found in run 2)" in cell["beside"]["blame"]


def test_a_lock_of_now_that_is_that_of_then(project: TimeProject) -> None:
    project.now("--resolution", "now", *ONE, "--as-of", THEN.isoformat())
    project.json("run", "--tier", "known", *ONE)
    assert "environment: new~now" in project("show", MOVED, "--lock")[1]
    found = project.now("--resolution", "now", *ONE)
    assert {cell["beside"]["standing"] for cell in found["cells"]} == {"works then and now"}


def test_part_of_an_id_means_the_cell_of_then(project: TimeProject) -> None:
    project.now(*ONE)
    assert project.json("show", "1.12.1@8/new")["cell"] == CELL
    assert project.json("show", "@8/new~")["cell"] == MOVED


@pytest.mark.parametrize(
    "place, key, value",
    [((), "kind", "indeterminate"), (("then",), "digest", "another"), (("now", "outcome"), "reason", "unrecognised")],
)
def test_a_blame_that_does_not_answer_any_more_is_made_again(
    project: TimeProject, place: tuple[str, ...], key: str, value: str
) -> None:
    project.engine.faults.append(Fault({"protobuf": ">=4"}))

    def told() -> str:
        (cell,) = (c for c in project.now("--blame", *ONE)["cells"] if c["cell"] == MOVED)
        return str(cell["beside"]["blame"])

    told()
    assert "found in run" in told()
    with contextlib.closing(project.session().state.open_store(None)) as history:
        record = history.blames.newest([MOVED])[MOVED]
        story = copy.deepcopy(dict(record.story))
        part = story
        for name in place:
            part = part[name]
        part[key] = value
        history.blames.add(record.run, MOVED, story, "")
    assert "found in run" not in told()


def test_a_blame_that_was_cut_short_is_made_again(project: TimeProject) -> None:
    project.engine.faults.append(Fault({"protobuf": ">=4"}))

    def told(*bounds: str) -> str:
        (cell,) = (c for c in project.now("--blame", *bounds, *ONE)["cells"] if c["cell"] == MOVED)
        return str(cell["beside"]["blame"])

    assert told("--blame-runs", "2").endswith("(cut short)")
    assert "fix for today: protobuf<4" in told()


def test_the_days_that_a_blame_tried_are_not_now(project: TimeProject) -> None:
    project.engine.faults.append(Fault({"protobuf": ">=4"}))
    assert project("blame", CELL, "--bad", LATER[1])[0] == 0
    found = project.json("status", "--run", "1")
    assert len(found["cells"]) > 2 and not any("beside" in cell for cell in found["cells"])
    assert "broken now" not in project("status", "--run", "1")[1]


def test_ctrl_c_while_resolving_is_no_failure(project: TimeProject) -> None:
    def pressed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blaming.LiveResolver, "resolve", pressed)
        project("blame", CELL, "--bad", LATER[1])
    with contextlib.closing(project.session().state.open_store(None)) as history:
        assert [run.status for run in history.runs()] == ["interrupted"]


@pytest.mark.parametrize("option", ["--fix", "--picture"])
def test_a_file_that_cannot_be_written_is_said_before_the_search(project: TimeProject, option: str) -> None:
    code, _, err = project("blame", CELL, "--bad", LATER[1], option, str(project.root / "none" / "file"))
    assert code == errors.UsageError.exit_code and "make it first" in err
    assert project.engine.worked == []


def story(blame: Any, **more: Any) -> BlameReport:
    return BlameReport("net/e@1/r~now", "converter", "r", blame, {}, 0, 1.0, None, 1, **more)


def hurried(world: World, tests: int, last: int) -> Any:
    """A search that is told after so many runs that the time is up."""
    search = find_blame(day(0), day(last), 60)
    ask: Any = next(search)
    while True:
        try:
            if not isinstance(ask, Measure):
                ask = search.send(tuple(world.resolve(recipe) for recipe in ask.recipes))
            elif tests:
                tests -= 1
                ask = search.send(world.oracle(ask.environment.packages))
            else:
                ask = search.throw(LimitReached())
        except StopIteration as end:
            return end.value


def two_at_once() -> World:
    world = World()
    for name in ("a", "b", "c"):
        world.release(name, "1")
        world.release(name, "2", 5)
    world.oracle = rules(("b-moved", {"b": ">=2"}))
    return world


def test_time_that_is_up_is_no_lack_of_a_cure() -> None:
    blame = hurried(two_at_once(), 2, 9)
    assert blame.stopped and document(story(blame))["stopped"]
    assert answer(story(blame)).endswith("(cut short)")


def test_time_that_is_up_before_both_ends_is_said() -> None:
    blame = hurried(two_at_once(), 1, 9)
    assert (blame.kind, blame.stopped) == ("indeterminate", True)
    assert "before both days were measured" in answer(story(blame))


def test_a_rule_accuses_nobody_who_was_not_found_out() -> None:
    blame = hurried(two_at_once(), 2, 9)
    assert blame.transitions[0].culprits is None
    said = why(story(blame))
    assert said == "one or more of 3 packages that changed between 2022-01-05 and 2022-01-06 broke it (b-moved)"


def test_a_withdrawal_has_no_day() -> None:
    """The lock of then has lib 1, which was yanked later: the day after is only the first that is resolved today."""
    world = World()
    world.release("lib", "1")
    world.release("lib", "0", -9)
    world.release("noise", "1")
    world.release("noise", "2", 20)
    world.oracle = rules(("too-old", {"lib": "<1"}))
    committed = world.resolve(Recipe(day(0)))
    world.releases["lib"] = [release for release in world.releases["lib"] if release.version == "0"]
    search = find_blame(day(0), day(40), 60)
    ask: Any = next(search)
    with pytest.raises(StopIteration) as end:
        while True:
            if isinstance(ask, Measure):
                ask = search.send(world.oracle(ask.environment.packages))
            else:
                found = (committed if r == committed.recipe else world.resolve(r) for r in ask.recipes)
                ask = search.send(tuple(found))
    blame = end.value.value
    told = story(blame, withdrawn=frozenset({("lib", "1"), ("noise", "1")}))
    assert blame.kind == "broken" and told.undated(blame.transitions[0]) == (("lib", "1"),)
    assert "lib 1 was withdrawn (yanked or deleted) on an unknown day" in text(told)
    assert document(told)["transition"]["withdrawn"] == [{"package": "lib", "version": "1"}]
    # Of a transition between two other days it says nothing.
    assert "withdrawn" not in text(story(hurried(two_at_once(), 9, 9), withdrawn=frozenset({("b", "1")})))


def test_withdrawn_is_what_was_yanked_or_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Resolved(Recipe(day(0)), "1", {"kept": "1", "yanked": "1", "gone": "1", "built": "1+cpu"})
    second = Resolved(Recipe(day(1)), "2", {"kept": "1"})
    bad = Measured(Finding("error"))
    blame = Blame("broken", first, second, {}, transitions=(Transition(first, second, bad, (), None),))

    def page(name: str, *versions: str, yanked: bool = False) -> Package:
        files = (ReleasedFile(f"{name}-{v}.tar.gz", Version(v), "sdist", yanked=yanked) for v in versions)
        return Package(name, tuple(files))

    pages = {"kept": page("kept", "1"), "yanked": page("yanked", "1", yanked=True), "gone": page("gone", "2")}
    pages["built"] = page("built", "1")
    monkeypatch.setattr(blaming.Releases, "of_all", lambda _, names: pages)
    assert blaming._withdrawn(blame, blaming.Releases(IndexSettings())) == {("yanked", "1"), ("gone", "1")}
    elsewhere = IndexSettings(extra=("https://x.invalid/simple",))
    assert blaming._withdrawn(blame, blaming.Releases(elsewhere)) == frozenset()


def test_a_row_without_a_solution_is_said_to_have_none() -> None:
    first, second = Resolved(Recipe(day(4)), "1", {"lib": "1"}), Resolved(Recipe(day(5)), "2", {}, "lib 1 is gone")
    nothing = Measured(Finding("unsatisfiable", stage="lock", said="no packages satisfy the requirements"))
    outcomes = {"1": Measured(Finding("match")), "2": nothing}
    transition = Transition(first, second, nothing, (), None)
    told = text(story(Blame("broken", first, second, outcomes, (first, second), (transition,))))
    assert told.startswith("broken between 2022-01-05 and 2022-01-06 by the lack of packages that satisfy the row")
    assert "said: lib 1 is gone" in told and "0 packages" not in told
