"""A whole run on a fake engine: every cell decided, every distinct job once, everything stored."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import small
from fakes import ANSWER, Deed, FakeEngine, Told, good, npz

from matrix.core.converter_code import ConverterCode
from matrix.core.paths import CONVERTER
from matrix.environments.engine import BuildFailed
from matrix.execution.builds import Builds
from matrix.execution.graph import Graphs
from matrix.execution.job_identity import JobMaker
from matrix.execution.run import Run
from matrix.judging.cells import CellResult, Judge
from matrix.judging.finding import Finding
from matrix.judging.outcome import Outcome
from matrix.packages.lock import Lock
from matrix.planning import Plan, Selection, make_plan
from matrix.store import Store
from matrix.store.records import Exit
from matrix.table import Config
from matrix.table.model import Limits
from matrix.table.selectors import from_text

LIMITS = Limits(seconds=0.15, memory_mb=1000)


@dataclass
class World:
    """A table, its locks, a store and a fake engine; each call of `run` is a new driver."""

    root: Path
    table: Config
    locks: dict[str, Lock]
    store: Store
    engine: FakeEngine
    told: Told = field(default_factory=Told)

    def plan(self, tier: str = "known", *only: str) -> Plan:
        return make_plan(self.table, self.locks, Selection(tier, tuple(map(from_text, only))), None)

    def make(
        self, plan: Plan, limits: Limits = LIMITS, again: bool = False, evict: bool = False, tflite: bool = False
    ) -> Run:
        self.told = Told()
        number = self.store.begin_run(plan.tier, "fake", "run", len(plan.cells), {})
        return Run(
            id=number,
            config=self.table,
            graphs=[Graphs(self.table, plan, tflite).of(cell) for cell in plan.cells],
            locks=self.locks,
            table=self.root / "matrix.yml",
            engine=self.engine,
            store=self.store,
            jobs=JobMaker(ConverterCode(CONVERTER)),
            limits=limits,
            parallel=2,
            work=self.root / "work",
            events=self.told,
            speak=self.judge.speak,
            again=again,
            evict=evict,
        )

    @property
    def judge(self) -> Judge:
        return Judge(self.table, self.store)

    def run(
        self, plan: Plan, limits: Limits = LIMITS, again: bool = False, evict: bool = False
    ) -> tuple[Run, dict[str, CellResult]]:
        run = self.make(plan, limits, again, evict)
        asyncio.run(asyncio.wait_for(run.execute(), 20))
        return run, self.results(run)

    def results(self, run: Run) -> dict[str, CellResult]:
        found = self.judge.cells(self.store.cells(run.id), self.locks, run.id)
        return {result.record.cell: result for result in found}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    table = small.config(tmp_path)
    store = Store("sqlite://", tmp_path / "blobs")
    yield World(tmp_path, table, small.locks(table), store, FakeEngine(tmp_path))
    store.close()


def verdicts(results: Mapping[str, CellResult]) -> Counter[str]:
    return Counter(result.finding.verdict for result in results.values())


def counts(run: Run) -> tuple[int, int]:
    return run.counts.run, run.counts.cached


def test_every_cell_is_decided_and_every_distinct_job_runs_once(world: World) -> None:
    plan = world.plan()
    run, results = world.run(plan)
    assert results.keys() == {cell.id for cell in plan.cells}
    assert verdicts(results) == {"match": len(plan.cells)}
    # The model by two exporters, four exports, a reference of each, six conversions: two exports go to both converters.
    assert counts(run) == (2 + 4 + 4 + 6, 0)
    passes = Counter(work for work, _, _ in world.engine.seen)
    assert passes == {"forward": 2, "export": 4, "reference": 4, "convert": 6, "reload": 6}
    assert sorted(world.engine.prepared) == ["new", "old", "reference", "torch-1.12.1", "torch-1.2.0"]
    assert len(world.told.of("decided")) == len(plan.cells) and world.told.of("planned") == [(len(plan.cells),)]
    assert not any(result.cached for result in results.values())


def test_nothing_changed_so_nothing_runs(world: World) -> None:
    world.run(world.plan())
    world.engine = FakeEngine(world.root)
    run, results = world.run(world.plan())
    assert counts(run) == (0, 16)
    assert world.engine.prepared == [] and world.engine.workers == []
    assert all(result.cached for result in results.values()) and verdicts(results) == {"match": 6}


def test_again_runs_what_is_known(world: World) -> None:
    world.run(world.plan())
    run, results = world.run(world.plan(), again=True)
    assert counts(run) == (16, 0)
    assert not any(result.cached for result in results.values())


def test_another_lock_of_one_row_runs_only_that_rows_jobs(world: World) -> None:
    world.run(world.plan())
    world.locks["new"] = replace(world.locks["new"], body=world.locks["new"].body + "extra==1\n")
    world.engine = FakeEngine(world.root)
    run, results = world.run(world.plan())
    assert counts(run) == (2, 14)
    assert world.engine.prepared == ["new"]
    assert {name for name, result in results.items() if not result.cached} == {
        "net/torch-1.12.1@7/new",
        "net/torch-1.12.1@8/new",
    }


def test_equal_exports_are_converted_once(world: World) -> None:
    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        deed = good(work, spec)
        if work == "export":
            return replace(deed, files={**deed.files, "model.onnx": b"the same for every exporter"})
        return deed

    world.engine.script = script
    run, results = world.run(world.plan())
    assert counts(run) == (2 + 4 + 1 + 2, 0)
    assert len(results) == 6


def test_an_export_that_fails_decides_all_its_cells_and_nothing_is_built_for_them(world: World) -> None:
    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        failed = Deed(small.report("import", "model", "forward", "export", error=small.raised("no")))
        return failed if work == "export" else good(work, spec)

    world.engine.script = script
    run, results = world.run(world.plan())
    assert counts(run) == (2 + 4, 0)
    assert {(r.finding.verdict, r.finding.role, r.finding.stage) for r in results.values()} == {
        ("error", "exporter", "export")
    }
    assert all(r.record.convert is None and r.record.reference is None for r in results.values())
    assert all(r.python for r in results.values())  # the converter's, from its lock


def test_a_model_that_fails_is_exported_by_no_opset(world: World) -> None:
    world.engine.script = lambda work, spec: Deed(small.report("import", "model", error=small.raised("no")))
    run, results = world.run(world.plan())
    assert counts(run) == (2, 0)
    assert {(r.finding.role, r.finding.stage, r.export.kind) for r in results.values()} == {
        ("exporter", "model", "forward")
    }
    assert all(r.record.forward is None for r in results.values())


def test_exports_are_given_what_the_model_computed(world: World) -> None:
    _, results = world.run(world.plan())
    given = {tuple(given) for work, _, given in world.engine.seen if work == "export"}
    assert given == {("inputs.npz", "torch-again.npz", "torch.npz")}
    records = [result.record for result in results.values()]
    assert len({record.forward for record in records}) == 2 and len({record.export for record in records}) == 4


def test_no_worker_of_the_converters_is_started_for_a_failed_export(world: World) -> None:
    world.engine.script = lambda work, spec: Deed(None)
    world.run(world.plan())
    assert {worker.work for worker in world.engine.workers} == {"forward"}


@pytest.mark.parametrize(
    ("exit_status", "verdict", "cached"), [(Exit(signal=9), "infra", 0), (Exit(signal=11), "crash", 1)]
)
def test_what_says_nothing_is_tried_again(world: World, exit_status: Exit, verdict: str, cached: int) -> None:
    half = small.report("import", "load", done=False)

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        return Deed(half, released=False, exit=exit_status) if work == "convert" else good(work, spec)

    world.engine.script = script
    plan = world.plan("known", "opset=9")
    _, results = world.run(plan)
    assert verdicts(results) == {verdict: 1}
    run, results = world.run(plan)
    assert verdicts(results) == {verdict: 1}
    assert counts(run) == (1 - cached, 3 + cached)
    # Once it goes well, that is the finding.
    if not cached:
        world.engine.script = good
        assert verdicts(world.run(plan)[1]) == {"match": 1}
        assert counts(world.run(plan)[0]) == (0, 4)


def test_a_time_out_holds_until_there_is_more_time(world: World) -> None:
    half = small.report("import", "load", done=False)

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        return Deed(half, released=False) if work == "convert" else good(work, spec)

    world.engine.script = script
    plan = world.plan("known", "opset=9")
    assert verdicts(world.run(plan)[1]) == {"timeout": 1}
    assert counts(world.run(plan)[0]) == (0, 4)
    assert counts(world.run(plan, Limits(seconds=0.1, memory_mb=1000))[0]) == (0, 4)
    world.engine.script = good
    run, results = world.run(plan, Limits(seconds=0.5, memory_mb=1000))
    assert counts(run) == (1, 3) and verdicts(results) == {"match": 1}


def test_a_row_without_solution_is_a_finding_and_no_job(world: World) -> None:
    world.locks["old"] = small.lock("old", body="", explanation="No solution found", request=world.locks["old"].request)
    run, results = world.run(world.plan("known", "opset=9"))
    (result,) = results.values()
    assert (result.finding.verdict, result.finding.role, result.finding.stage) == (
        "unsatisfiable",
        "converter",
        "lock",
    )
    assert counts(run) == (3, 0) and "old" not in world.engine.prepared
    again, results = world.run(world.plan("known", "opset=9"))
    assert counts(again) == (0, 3) and verdicts(results) == {"unsatisfiable": 1}


@pytest.mark.parametrize(("kind", "verdict"), [("infra", "infra"), ("unavailable", "unavailable"), ("error", "error")])
def test_an_environment_that_cannot_be_built(world: World, kind: Any, verdict: str) -> None:
    world.engine.broken["new"] = BuildFailed(kind, "some-reason", "text")
    _, results = world.run(world.plan())
    assert verdicts(results) == {"match": 4, verdict: 2}
    world.engine.broken.clear()
    _, results = world.run(world.plan())
    # What said nothing about the row is tried again, a finding stays.
    assert verdicts(results) == ({"match": 4, "error": 2} if kind == "error" else {"match": 6})


def test_a_missing_interpreter_leaves_the_rest_alone(world: World) -> None:
    world.engine.missing["old"] = BuildFailed("unavailable", "interpreter-missing", "get it with: x")
    _, results = world.run(world.plan())
    assert verdicts(results) == {"match": 2, "unavailable": 4}
    broken = [r for r in results.values() if r.finding.verdict == "unavailable"]
    assert all(r.finding.reason == "interpreter-missing" and "get it with" in r.finding.title for r in broken)


def test_numbers_decide(world: World) -> None:
    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        deed = good(work, spec)
        if work == "convert":
            return replace(deed, files={**deed.files, "memory.npz": npz([1.0, -2.0, 3.0, 4.0, 5.0])})
        return deed

    world.engine.script = script
    _, results = world.run(world.plan("known", "opset=9"))
    (result,) = results.values()
    assert (result.finding.verdict, result.judgement.leg) == ("mismatch", "onnxruntime-tensorflow")
    assert result.judgement.metrics["max_abs"] == 10


def test_a_new_tolerance_judges_old_numbers_without_a_run(world: World) -> None:
    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        deed = good(work, spec)
        if work in ("convert", "reload"):
            name = {"convert": "memory.npz", "reload": "reloaded.npz"}[work]
            return replace(deed, files={**deed.files, name: npz([1.01, -2.0, 3.0, 4.0, -5.0])})
        return deed

    world.engine.script = script
    plan = world.plan("known", "opset=9")
    run, results = world.run(plan)
    assert verdicts(results) == {"mismatch": 1}
    looser = small.changed("tiers:\n", "tolerances: {float32: {rtol: 0.1, atol: 0.1}}\ntiers:\n")
    world.table = small.config(world.root, looser)
    assert verdicts(world.results(run)) == {"match": 1}


def test_inputs_are_the_same_bytes_for_every_environment(world: World) -> None:
    seen: set[bytes] = set()
    models: set[str] = set()

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        for worker in world.engine.workers:
            path = worker.inbox / spec["folder"] / "inputs.npz"
            if path.exists():
                seen.add(path.read_bytes())
        models.add(json.dumps(spec["params"], sort_keys=True))
        return good(work, spec)

    world.engine.script = script
    world.run(world.plan())
    assert len(seen) == 1 and len(models) > 1


# --- stopping --------------------------------------------------------------------------------------------------------


def test_what_had_finished_when_it_was_stopped_is_stored_and_the_rest_follows(world: World) -> None:
    half = small.report("import", "load", done=False)

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        return Deed(half, released=False) if work == "reload" else good(work, spec)

    world.engine.script = script
    plan = world.plan()
    run = world.make(plan, Limits(seconds=60, memory_mb=1000))

    async def interrupted() -> None:
        work = asyncio.create_task(run.execute())
        while not any(name == "reload" for name, _, _ in world.engine.seen):
            await asyncio.sleep(0.01)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(interrupted())
    assert all(worker.killed for worker in world.engine.workers)
    assert not list((world.root / "work").glob("*"))
    done = run.counts.run
    assert 0 < done < 16
    world.engine = FakeEngine(world.root)
    after, results = world.run(plan)
    assert counts(after) == (16 - done, done)
    assert verdicts(results) == {"match": 6}


def test_cells_decided_before_a_stop_are_listed(world: World) -> None:
    half = small.report("import", "model", done=False)

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        hang = work == "export" and spec["params"]["opset"] == 10
        return Deed(half, released=False) if hang else good(work, spec)

    world.engine.script = script
    run = world.make(world.plan("known", "converter=old"), Limits(seconds=60, memory_mb=1000))

    async def interrupted() -> None:
        work = asyncio.create_task(run.execute())
        while len(world.told.of("decided")) < 3:
            await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(interrupted())
    assert {record.opset for record in world.store.cells(run.id)} == {7, 8, 9}


def test_a_store_that_fails_once_loses_no_cell(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = world.make(world.plan("known", "opset=9"))
    add_cells, failures = world.store.add_cells, [OSError("busy")]

    def flaky(number: int, cells: Any) -> None:
        if failures:
            raise failures.pop()
        add_cells(number, cells)

    monkeypatch.setattr(world.store, "add_cells", flaky)
    run._decided.append(small.cell_record(export=world.store.add(run.id, small.observation("export"), True, None)))
    with pytest.raises(OSError, match="busy"):
        run._flush()
    run._flush()
    assert len(world.store.cells(run.id)) == 1


def test_a_fault_of_the_driver_ends_the_run(world: World) -> None:
    world.engine.start_fault = RuntimeError("a bug")
    with pytest.raises(BaseExceptionGroup) as caught:
        world.run(world.plan())
    assert caught.group_contains(RuntimeError, match="a bug")


# --- a user's model --------------------------------------------------------------------------------------------------


def own_model(world: World) -> None:
    text = small.changed(
        'id: net\n    factory: "converter.zoo.gestures:build"', 'id: net\n    factory: "mine.py:build"'
    )
    (world.root / "mine.py").write_text("def build(): ...\n")
    world.table = small.config(world.root, text)


def test_a_users_factory_is_part_of_what_ran(world: World) -> None:
    own_model(world)
    plan = world.plan("known", "opset=9")
    world.run(plan)
    assert ("export", ["inputs.npz", "source", "source/mine.py"]) in [
        (work, given) for work, _, given in world.engine.seen
    ]
    assert counts(world.run(plan)[0]) == (0, 3)
    (world.root / "mine.py").write_text("def build(): return 1\n")
    assert counts(world.run(plan)[0])[0] == 1


def test_a_factory_that_went_away(world: World) -> None:
    own_model(world)
    (world.root / "mine.py").unlink()
    run, results = world.run(world.plan("known", "opset=9"))
    found = [result.judgement for result in results.values()]
    assert {(j.finding.verdict, j.finding.stage, j.finding.reason) for j in found} == {
        ("error", "model", "model-unusable")
    }
    assert "mine.py" in found[0].finding.title and "No such file" in found[0].finding.title
    assert counts(run) == (0, 0)


def test_it_takes_no_other_model_along(world: World) -> None:
    own_model(world)
    (world.root / "mine.py").unlink()
    _, results = world.run(world.plan("full", "converter=new", "torch==1.12.1"))
    assert len(results) > 2
    for name, result in results.items():
        mine = name.startswith("net/")
        assert (result.finding.verdict, result.record.convert is None) == (
            ("error" if mine else "match"),
            mine,
        )
    assert "export" in {work for work, _, _ in world.engine.seen}
    # Once it is there again nothing is remembered of that.
    (world.root / "mine.py").write_text("def build(): ...\n")
    _, results = world.run(world.plan("full", "converter=new", "torch==1.12.1"))
    assert verdicts(results) == {"match": len(results)}


def test_the_answer_of_the_fake_workers_tells_right_from_wrong() -> None:
    # Otherwise the matches above would prove nothing.
    assert npz([1.0, -2.0, 3.0, 4.0, 5.0]) != ANSWER


def test_a_finding_whose_files_are_gone_is_looked_for_again(world: World) -> None:
    plan = world.plan("known", "opset=9")
    run, _ = world.run(plan)
    export = world.store.observations([world.store.cells(run.id)[0].export]).popitem()[1]
    world.store.blobs.local(str(export.file("model.onnx"))).unlink()
    assert counts(world.run(plan)[0])[0] >= 1
    assert counts(world.run(plan)[0])[0] == 0


def test_a_finding_that_todays_signatures_call_indeterminate_is_looked_for_again(world: World) -> None:
    plan = world.plan("known", "opset=9")
    world.run(plan)
    later = replace(world.make(plan), speak=lambda _: Outcome(Finding("infra", None, "run", "disk-full")))
    asyncio.run(later.execute())
    assert later.counts.cached == 0


def test_what_an_engine_says_of_a_build_is_stored_without_secrets(world: World) -> None:
    world.engine.broken["old"] = BuildFailed("infra", "x", "cannot reach https://me:secret@index/simple")
    run, _ = world.run(world.plan("known", "opset=9", "converter=old"))
    cell = world.store.cells(run.id)[0]
    found = world.store.observations([cell.convert or 0]).popitem()[1]
    assert found.obstacle is not None and "secret" not in found.obstacle.text


def test_a_run_of_another_state_folder_is_left_running(world: World) -> None:
    ours = world.store.begin_run("quick", "fake", "", 0, {"state": "ours"})
    world.store.begin_run("quick", "fake", "", 0, {"state": "theirs"})
    assert world.store.run(ours).status == "running"
    world.store.begin_run("quick", "fake", "", 0, {"state": "ours"})
    assert world.store.run(ours).status == "killed"


def test_without_eviction_environments_stay(world: World) -> None:
    world.run(world.plan())
    assert world.engine.removed == []


def test_evicting_removes_every_environment_once_and_only_when_all_its_jobs_have_ended(world: World) -> None:
    plan = world.plan()
    run = world.make(plan, evict=True)
    gone_at: dict[str, int] = {}
    remove = world.engine.remove

    def noted(places: Iterable[str]) -> None:
        for place in places:
            gone_at[Path(place).name] = len(world.told.of("ended"))
            remove([place])

    world.engine.remove = noted
    asyncio.run(run.execute())
    assert len(world.told.of("decided")) == len(plan.cells)
    assert sorted(map(Path, world.engine.removed)) == sorted({world.root / name for name in world.engine.prepared})
    for name, ended in gone_at.items():
        assert name not in {environment for _, environment, _ in world.told.of("ended")[ended:]}


def test_evicting_keeps_few_converter_environments_at_once(world: World) -> None:
    """One place for two converters: the second is built after the first was removed, and the run ends."""

    async def two() -> None:
        builds = Builds(world.engine, 2, world.told, places=1)
        old, new = (world.locks[name] for name in ("old", "new"))
        builds.want(old)
        builds.want(new)
        exporter = next(lock for lock in world.locks.values() if lock.role == "exporter")
        await asyncio.wait_for(builds.get(old), 1)
        await asyncio.wait_for(builds.get(exporter), 1)
        await asyncio.sleep(0.01)
        assert new.name not in world.engine.prepared
        await builds.evict(old)
        await asyncio.wait_for(builds.get(new), 1)
        assert [Path(place).name for place in world.engine.removed] == ["old"]
        await builds.close()

    asyncio.run(two())


def test_a_build_that_fails_gives_its_place_back(world: World) -> None:
    world.engine.broken["old"] = BuildFailed("infra", "disk-full", "no room")
    found = world.run(world.plan(), evict=True)[1]
    assert verdicts(found)["infra"] and verdicts(found)["match"]


def test_who_shares_a_layer_waits_for_the_first_without_taking_a_turn(world: World) -> None:
    world.engine.shared = {"old": "layer", "new": "layer"}
    world.engine.build_seconds = 0.02
    exporter = next(lock for lock in world.locks.values() if lock.role == "exporter")

    async def three() -> None:
        builds = Builds(world.engine, 2, world.told)
        tasks = [builds.want(world.locks["old"]), builds.want(world.locks["new"]), builds.want(exporter)]
        await asyncio.wait_for(asyncio.gather(*tasks), 2)

    asyncio.run(three())
    assert world.engine.prepared == ["old", exporter.name, "new"]


def test_the_first_of_a_shared_layer_may_fail_and_the_others_are_tried(world: World) -> None:
    world.engine.shared = {"old": "layer", "new": "layer"}
    world.engine.broken["old"] = BuildFailed("error", "x", "will not build")

    async def both() -> None:
        builds = Builds(world.engine, 1, world.told)
        builds.want(world.locks["old"])
        assert (await asyncio.wait_for(builds.get(world.locks["new"]), 2)).lock.name == "new"

    asyncio.run(both())


def test_an_unwanted_environment_frees_its_place_whether_it_waits_or_is_being_built(world: World) -> None:
    old, new = (world.locks[name] for name in ("old", "new"))
    third = replace(new, name="third", body=new.body + "extra==1.0\n")
    world.engine.build_seconds = 0.05

    async def three() -> None:
        builds = Builds(world.engine, 2, world.told, places=1)
        building, waiting = builds.want(old), builds.want(new)
        await asyncio.sleep(0.01)
        assert world.engine.prepared == ["old"]
        # Both are given up, the first while it is built, the second while it waits for the only place.
        await builds.evict(old)
        await builds.evict(new)
        await asyncio.wait_for(builds.get(third), 2)
        await builds.close()
        assert building.done() and waiting.cancelled()

    asyncio.run(three())
    assert world.engine.prepared == ["old", "third"]
    assert [Path(place).name for place in world.engine.removed] == ["old"]
