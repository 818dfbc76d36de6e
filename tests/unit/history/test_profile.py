"""`profile`: where the time of a run went."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import cell_record, observation

from matrix.history.critical_path import PathStep, critical_path, jobs_before
from matrix.history.profile import OUTSIDE, Known, RunProfile, profile
from matrix.history.spans import BUILD, Span, StageTime, Window, amount, build_spans, pass_spans
from matrix.store import Observation, PassRecord
from matrix.store.records import JobKind, RunPart, RunRecord

# A run that began at this second and took 100 s.
START = 1_790_000_000.0
BEGAN = dt.datetime.fromtimestamp(START, dt.UTC)


def stage(name: str, seconds: Any, cpu_seconds: Any = None, status: str = "ok", **more: Any) -> dict[str, Any]:
    return {"stage": name, "status": status, "seconds": seconds, "cpu_seconds": cpu_seconds, "shared": False, **more}


def passed(
    name: str, began: float | None, seconds: float, *stages: Mapping[str, Any], result: Any = None
) -> PassRecord:
    """A pass that began so many seconds after the run; None: its record does not have it."""
    return PassRecord(
        name=name,
        result=result if result is not None else {"stages": list(stages)},
        exit=None,
        stopped=None,
        released=True,
        seconds=seconds,
        log="",
        files={},
        began=0.0 if began is None else START + began,
    )


def job(number: int, kind: JobKind, environment: str, ended: float, *passes: PassRecord) -> Observation:
    return observation(kind, *passes, environment=environment, id=number, created=BEGAN + dt.timedelta(seconds=ended))


def part(ended: float | None = 100, uid: str = "u", spent: Any = None) -> RunPart:
    return RunPart(
        uid=uid,
        started=BEGAN,
        ended=None if ended is None else BEGAN + dt.timedelta(seconds=ended),
        status="complete",
        tier="known",
        engine="venv",
        command="python -m matrix run",
        planned=1,
        host={} if spent is None else {"spent": spent},
    )


SPENT = {
    "cores": 2,
    "jobs": 2,
    "driver_cpu_seconds": 3.0,
    "children_cpu_seconds": 70.0,
    "builds": [["torch", START + 1, 9.0], ["tf", START + 2, 18.0]],
}


def run(*parts: RunPart, ended: float | None = 100, engine: str = "venv", **changes: Any) -> RunRecord:
    facts: dict[str, Any] = {"status": "complete", "tier": "known", "command": "", "planned": 1}
    return RunRecord(
        id=1,
        started=BEGAN,
        ended=None if ended is None else BEGAN + dt.timedelta(seconds=ended),
        engine=engine,
        parts=parts or (part(ended, spent=SPENT),),
        **{**facts, "jobs_run": 3, "jobs_cached": 0, **changes},
    )


# An export from 10 to 30, its reference from 30 to 35, and two conversions one after the other: from 30 to 70, loaded
# again from 70 to 78; and from 78 to 90.
EXPORT = job(1, "export", "torch", 30.2, passed("export", 10, 20, stage("import", 5, 4.0), stage("export", 14, 10.0)))
REFERENCE = job(2, "reference", "ort", 35.2, passed("reference", 30, 5, stage("run", 4, 3.0)))
FIRST = job(
    3,
    "convert",
    "tf",
    78.2,
    passed("convert", 30, 40, stage("import", 10, 8.0), stage("run", 28, 30.0)),
    passed("reload", 70, 8, stage("import", 2, 1.5), stage("reload", 6, 3.5)),
)
SECOND = job(
    4,
    "convert",
    "tf",
    90.2,
    passed("convert", 78, 12, stage("import", 0, 0, shared=True), stage("run", 10, 7.0)),
)
JOBS = (EXPORT, REFERENCE, FIRST, SECOND)
CELLS = (
    cell_record(export=1, reference=2, convert=3),
    cell_record("net/torch-1.2.0@10/old", export=1, reference=2, convert=4),
)


@pytest.fixture
def small_run() -> RunProfile:
    return profile(run(), JOBS, CELLS)


# --- a small run, computed by hand -----------------------------------------------------------------------------------


def test_sums(small_run: RunProfile) -> None:
    assert (small_run.wall, small_run.cores, small_run.slots) == (100, 2, 2)
    assert (small_run.jobs, len(small_run.passes), small_run.unusable) == (4, 5, 0)
    assert small_run.pass_seconds == 20 + 5 + 40 + 8 + 12
    assert small_run.core_seconds == 200
    assert small_run.stage_cpu == Known(14 + 3 + 38 + 5 + 7, 0)
    assert small_run.driver_cpu == 3
    assert small_run.other_cpu == 70 - 67
    assert small_run.idle_seconds == 200 - 85
    assert small_run.build_seconds == 27
    assert small_run.busy == pytest.approx(67 / 200)
    # 20 - 14, 5 - 3, 40 - 38, 8 - 5, 12 - 7
    assert small_run.waited == Known(6 + 2 + 2 + 3 + 5, 0)


def test_tables(small_run: RunProfile) -> None:
    assert [(row.name, row.count, row.seconds, row.cpu.seconds) for row in small_run.by_stage] == [
        ("convert/run", 2, 38, 37),
        ("export/export", 1, 14, 10),
        ("convert/import", 1, 10, 8),
        (OUTSIDE, 5, 1 + 1 + 2 + 0 + 2, None),
        ("reload/reload", 1, 6, 3.5),
        ("export/import", 1, 5, 4),
        ("reference/run", 1, 4, 3),
        ("reload/import", 1, 2, 1.5),
    ]
    assert [(row.name, row.count, row.seconds, row.cpu) for row in small_run.by_kind] == [
        ("convert", 2, 60, Known(50, 0)),
        ("export", 1, 20, Known(14, 0)),
        ("reference", 1, 5, Known(3, 0)),
    ]
    assert [row.name for row in small_run.by_environment] == ["tf", "torch", "ort"]
    assert small_run.share(small_run.by_kind[0]) == pytest.approx(60 / 85)


def test_passes_at_once(small_run: RunProfile) -> None:
    # None before 10 and after 90; two from 30 to 35.
    assert small_run.at_once == (20, 75, 5)


def test_critical_path(small_run: RunProfile) -> None:
    assert small_run.path == (
        PathStep(BUILD, "torch", 1, 1, 9, 1),
        PathStep("export", "torch", 1, 10, 20, 0),
        PathStep("convert", "tf", 3, 30, 60, 0),
    )
    assert (small_run.path_seconds, small_run.path_waited) == (89, 11)


# --- what is not recorded --------------------------------------------------------------------------------------------


def test_an_old_record() -> None:
    old = [
        job(1, "export", "torch", 30, passed("export", None, 20, {"stage": "export", "seconds": 19, "shared": False})),
        job(3, "convert", "tf", 78, passed("convert", None, 40), passed("reload", None, 8)),
    ]
    found = profile(run(part()), old, CELLS)
    assert [(span.name, span.began, span.ended, span.derived) for span in found.passes] == [
        ("export", 10, 30, True),
        ("convert", 30, 70, True),
        ("reload", 70, 78, True),
    ]
    unknown = (found.cores, found.slots, found.core_seconds, found.idle_seconds, found.driver_cpu, found.other_cpu)
    assert unknown == (None,) * 6
    assert (found.busy, found.build_seconds, found.builds) == (None, None, ())
    assert found.stage_cpu == found.waited == Known(None, 3)
    assert found.at_once == (32, 68)
    assert [(step.kind, step.seconds) for step in found.path] == [("export", 20), ("convert", 48)]


def test_a_run_without_an_end() -> None:
    found = profile(run(part(None), ended=None, status="killed"), JOBS, CELLS)
    assert found.wall == pytest.approx(90.2)
    assert found.cores is None and found.at_once[0] == pytest.approx(10.2)


def test_sums_leave_out_what_is_unknown() -> None:
    ended = passed("convert", 30, 40, stage("import", 10, 8.0), stage("run", None, None, "running"))
    found = profile(run(), [EXPORT, job(3, "convert", "tf", 70, ended)], CELLS)
    # A stage in which the worker was ended lasted until then.
    assert {row.name: (row.seconds, row.cpu) for row in found.by_stage}["convert/run"] == (30, Known(None, 1))
    assert found.stage_cpu == Known(22, 1) and found.waited == Known(6, 1)


def test_containers_are_no_children() -> None:
    assert profile(run(engine="docker+venv"), JOBS, CELLS).other_cpu is None


def test_children_that_used_less_than_their_stages() -> None:
    short = {**SPENT, "children_cpu_seconds": 20.0}
    assert profile(run(part(spent=short)), JOBS, CELLS).other_cpu is None
    rounded = {**SPENT, "children_cpu_seconds": 66.5}
    assert profile(run(part(spent=rounded)), JOBS, CELLS).other_cpu == 0


def test_parts_are_summed() -> None:
    other = {**SPENT, "cores": 4, "jobs": 3, "builds": []}
    found = profile(run(part(spent=SPENT), part(50, "v", other)), JOBS, CELLS)
    assert (found.cores, found.slots) == (6, 5)
    assert found.core_seconds == 2 * 100 + 4 * 50
    assert found.idle_seconds == 2 * 100 + 3 * 50 - 85
    # A part that recorded nothing makes a sum unknown, not smaller.
    assert profile(run(part(spent=SPENT), part(50, "v")), JOBS, CELLS).cores is None


# --- what cannot be believed -----------------------------------------------------------------------------------------

NONSENSE = [None, True, "5", -1, -0.1, math.nan, math.inf, 10**400, [], {}, 1e12]


@pytest.mark.parametrize("value", NONSENSE, ids=str)
def test_no_number_of_seconds(value: Any) -> None:
    assert amount(value) is None


@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: str(value)[:9])
def test_nonsense_of_a_worker(value: Any) -> None:
    stages = [
        value,
        stage("a", value, 1.0),
        stage("\x1b" if value == "5" else value, 1),
        stage("b", 2, value),
        stage("c", 3, 1.0),
    ]
    [span] = pass_spans(job(1, "convert", "tf", 50, passed("convert", 10, 20, *stages)), Window(START, 100))
    assert span.stages == (StageTime("b", 2), StageTime("c", 3, 1.0))
    assert span.outside == 15
    for result in (value, {"stages": value}):
        [span] = pass_spans(job(1, "convert", "tf", 50, passed("convert", 10, 20, result=result)), Window(START, 100))
        assert (span.stages, span.outside) == ((), 20)


def test_stages_longer_than_their_pass() -> None:
    record = passed("convert", 10, 20, stage("import", 15, 900.0), stage("run", 1e8), stage("save", 3))
    [span] = pass_spans(job(1, "convert", "tf", 30, record), Window(START, 100), cores=2)
    # 900 s of processor in 15 s is more than two cores have.
    assert span.stages == (StageTime("import", 15), StageTime("run", 5), StageTime("save", 0))
    assert span.outside == 0


def test_more_stages_and_longer_names_than_any_pass_has() -> None:
    record = passed("convert", 10, 20, *(stage("x\x1b[31m\n" * 99, 0.01) for _ in range(10_000)))
    [span] = pass_spans(job(1, "convert", "tf", 30, record), Window(START, 100))
    assert len(span.stages) == 50 and len(span.stages[0].stage) <= 60
    assert span.stages[0].stage.isprintable()


@pytest.mark.parametrize("began", [-START + 5, -START - 1, math.nan, math.inf, -500, 500, 1e300])
def test_a_begin_that_cannot_be(began: float) -> None:
    record = passed("convert", began, 20)
    [span] = pass_spans(job(1, "convert", "tf", 50, record), Window(START, 100))
    assert (span.began, span.ended, span.derived) == (30, 50, True)


def test_nothing_is_outside_the_run() -> None:
    found = profile(run(ended=40), [*JOBS, job(9, "convert", "tf", -500, passed("convert", None, 1e8))], CELLS)
    assert all(0 <= span.began <= span.ended <= 40 for span in found.passes)
    assert sum(found.at_once) == pytest.approx(40)
    assert found.path_seconds <= 40


@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: str(value)[:9])
def test_nonsense_of_a_machine(value: Any) -> None:
    spent = {**dict.fromkeys(SPENT, value), "builds": [value, [value] * 3, ["tf", value, 1], ["tf", START, value]]}
    assert not profile(run(part(spent=spent)), JOBS, CELLS).builds
    found = profile(run(part(spent=value)), JOBS, CELLS)
    assert (found.cores, found.driver_cpu, found.other_cpu, found.busy) == (None,) * 4
    assert build_spans(value, Window(START, 100)) in (None, ())


def test_a_pass_of_unknown_duration_is_left_out() -> None:
    found = profile(run(), [EXPORT, job(3, "convert", "tf", 70, passed("convert", 30, math.nan))], CELLS)
    assert (len(found.passes), found.unusable) == (1, 1)


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
_stage = st.fixed_dictionaries(
    {},
    optional={
        "stage": st.sampled_from(["import", "run"]) | _json,
        "seconds": st.floats(0, 50) | _json,
        "cpu_seconds": st.floats(0, 50) | _json,
        "status": st.sampled_from(["ok", "running"]) | _json,
        "shared": st.booleans() | _json,
    },
)
_pass = st.tuples(st.none() | st.floats(-50, 150), st.floats(0, 60) | st.floats(), st.lists(_stage | _json, max_size=4))


@given(st.lists(st.tuples(st.floats(-10, 120), st.sampled_from("ab"), st.lists(_pass, max_size=3)), max_size=5))
def test_stages_add_up_to_the_whole(jobs: Sequence[Any]) -> None:
    observations = [
        job(number, "convert", environment, ended, *(passed("p", began, took, *s) for began, took, s in passes))
        for number, (ended, environment, passes) in enumerate(jobs, 1)
    ]
    found = profile(run(), observations, [cell_record(export=1, convert=2), cell_record(export=2, convert=1)])
    for rows in (found.by_stage, found.by_kind, found.by_environment):
        assert sum(row.seconds for row in rows) == pytest.approx(found.pass_seconds)
        assert all(row.seconds >= 0 for row in rows)
    assert sum(found.at_once) == pytest.approx(found.wall)
    steps = sum(step.seconds + step.waited for step in found.path)
    assert steps <= found.wall + 1e-6
    if found.passes:
        assert steps == pytest.approx(max(span.ended for span in (*found.builds, *found.passes)), abs=1e-6)


# --- the critical path -----------------------------------------------------------------------------------------------


def span(kind: str, environment: str, began: float, ended: float, number: int = 0) -> Span:
    return Span(kind, environment, began, ended, ended - began, number)


def environments(*spans: Span, before: Mapping[int, Sequence[int]] | None = None) -> list[str]:
    return [step.environment for step in critical_path(spans, before or {})]


def test_no_spans() -> None:
    assert critical_path((), {}) == ()


def test_a_job_follows_the_job_before_it_and_not_one_that_ended_later() -> None:
    assert environments(
        span("export", "torch", 0, 10, 1),
        span("convert", "other", 3, 10.3, 2),
        span("convert", "tf", 10.4, 20, 3),
        before={3: [1]},
    ) == ["torch", "tf"]


def test_a_job_that_had_to_wait_for_a_slot_follows_what_released_it() -> None:
    assert environments(
        span("export", "torch", 0, 10, 1),
        span("convert", "other", 3, 17, 2),
        span("convert", "tf", 17.1, 20, 3),
        before={3: [1]},
    ) == ["other", "tf"]


def test_an_environment_runs_one_job_at_a_time() -> None:
    spans = (
        span("export", "torch", 0, 10, 1),
        span("convert", "tf", 10, 19.8, 2),
        span("convert", "other", 5, 20, 3),
        span("convert", "tf", 20.1, 30, 4),
    )
    [export, converts] = critical_path(spans, {2: [1], 4: [1]})
    assert export == PathStep("export", "torch", 1, 0, 10, 0)
    assert (converts.spans, converts.seconds, converts.waited) == (2, pytest.approx(19.7), pytest.approx(0.3))


def test_a_build_follows_the_build_before_it() -> None:
    assert environments(
        span(BUILD, "one", 1, 5),
        span("export", "torch", 0, 5.1, 1),
        span(BUILD, "two", 5.2, 9),
        span("convert", "two", 9.1, 12, 2),
    ) == ["one", "two", "two"]


def test_overlapping_clocks_do_not_count_twice() -> None:
    [first, second] = critical_path((span("export", "torch", 0, 10.03, 1), span("convert", "tf", 10, 20, 2)), {2: [1]})
    assert first.seconds + second.seconds == pytest.approx(20)
    assert second.waited == 0


def test_passes_of_no_duration_end_the_walk() -> None:
    same = [span("convert", "tf", 5, 5, number) for number in range(1, 200)]
    assert len(critical_path(same, {number: [number - 1] for number in range(1, 200)})) == 1


def test_which_jobs_come_before_which() -> None:
    searched = cell_record(forward=1, export=2, alter=(3, 4), reference=5, convert=6, expose=7, trace=8)
    of_file = cell_record(export=9, reference=10)
    assert jobs_before([searched, of_file]) == {2: {1}, 3: {2}, 4: {3}, 5: {4}, 6: {4}, 7: {4}, 8: {7}, 10: {9}}
