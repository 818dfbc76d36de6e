"""Jobs on untrusted workers: what is recorded, and that the next job is unaffected."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small
from fakes import ANSWER, GOOD, Deed, FakeEngine, Told, good

from matrix.environments.engine import BuildFailed
from matrix.execution.builds import Builds
from matrix.execution.job_identity import Job
from matrix.execution.job_types import JOB_TYPES
from matrix.execution.lane import Lane
from matrix.execution.slots import Slots
from matrix.execution.worker_report import read_report
from matrix.families.onnx_tf import OnnxTf
from matrix.judging.outcome import outcome
from matrix.store import FolderBlobs, Observation
from matrix.store.records import Exit, JobKind, Obstacle
from matrix.table.model import Limits

LIMITS = Limits(seconds=0.15, memory_mb=1000)


class Bench:
    """A lane on a fake engine. Jobs whose `do` is not in the script succeed."""

    def __init__(self, root: Path, **deeds: Callable[[str], Deed]) -> None:
        self.root = root
        self.deeds = deeds
        self.blobs = FolderBlobs(root / "blobs")
        self.told = Told()
        self.engine = FakeEngine(root, self.script)
        self.lock = small.lock("env")
        self.inputs = self.blobs.put(b"inputs")
        self.expecting = False

    def script(self, work: str, spec: Mapping[str, Any]) -> Deed:
        deed = self.deeds.get(spec["params"]["do"])
        return deed(work) if deed else good(work, spec)

    def job(self, do: str, kind: JobKind = "convert") -> Job:
        name = f"{do:-<24}{kind}"
        ours = OnnxTf()
        converting = (ours.converts, ours.loads[0])
        passes = JOB_TYPES[kind].passes or (converting if kind == "convert" else (ours.further(kind),))
        return Job(name, kind, {"do": do}, {"inputs.npz": self.inputs}, passes, family="onnx-tf")

    def run(self, use: Callable[[Lane], Awaitable[Any]], limits: Limits = LIMITS) -> Any:
        async def main() -> Any:
            builds = Builds(self.engine, 2, self.told)
            lane = Lane(self.lock, self.engine, builds, Slots(2), (), self.root / "work", self.blobs, limits, 6,
                        self.told, lambda: self.expecting)  # fmt: skip
            try:
                return await asyncio.wait_for(use(lane), 10)
            finally:
                await lane.close()
                await builds.close()

        return asyncio.run(main())

    def observe(self, *jobs: Job, limits: Limits = LIMITS) -> list[Observation]:
        async def use(lane: Lane) -> list[Observation]:
            return list(await asyncio.gather(*map(lane.observe, jobs)))

        return list(self.run(use, limits))


def only(work: str, deed: Deed) -> Callable[[str], Deed]:
    """Misbehave in one pass; the others succeed."""
    return lambda now: deed if now == work else good(now, {"params": {}})


HALF = small.report("import", "load", done=False)
WHOLE = small.report(*GOOD["convert"])

# What a worker does in its first pass: (deed, exit, stopped, has a result, released, verdict)
DEEDS = {
    "dies of a signal": (Deed(HALF, released=False, exit=Exit(signal=11)), Exit(signal=11), None, True, False, "crash"),
    "hangs": (Deed(HALF, released=False), Exit(signal=9), "timeout", True, False, "timeout"),
    "takes all memory": (
        Deed(HALF, released=False, rss_mb=2000), Exit(signal=9, oom=True), "memory", True, False, "oom"),
    "is ended by the kernel": (
        Deed(HALF, released=False, exit=Exit(signal=9)), Exit(signal=9), None, True, False, "infra"),
    "leaves with status 0": (Deed(HALF, released=False, exit=Exit(code=0)), Exit(code=0), None, True, False, "error"),
    "leaves before it says anything": (
        Deed(None, released=False, exit=Exit(code=0)), Exit(code=0), None, False, False, "error"),
    "dies after a good result": (
        Deed(WHOLE, {"memory.npz": ANSWER}, released=False, exit=Exit(signal=11)), Exit(signal=11), None, True, False,
        "crash"),
    "dies after releasing it": (
        Deed(WHOLE, {"memory.npz": ANSWER}, exit=Exit(code=3)), Exit(code=3), None, True, True, "error"),
    "releases without a result": (Deed(None), None, None, False, True, "error"),
    "raises": (
        Deed(small.report("import", "load", "check", error=small.raised("no"))), None, None, True, True, "error"),
}  # fmt: skip


@pytest.mark.parametrize("case", DEEDS.values(), ids=DEEDS.keys())
def test_what_became_of_a_job_is_taken_down_and_the_next_is_unharmed(tmp_path: Path, case: Any) -> None:
    deed, exit_status, stopped, has_result, released, verdict = case
    bench = Bench(tmp_path, bad=only("convert", deed))
    bad, after = bench.observe(bench.job("bad"), bench.job("after"))
    (record,) = bad.passes  # what did not go well goes no further
    assert (record.exit, record.stopped, record.result is not None, record.released) == (
        exit_status,
        stopped,
        has_result,
        released,
    )
    found = outcome(bad, bench.blobs.read(record.log).decode())
    assert found is not None and found.finding.verdict == verdict
    assert [p.name for p in after.passes] == ["convert", "reload"]
    assert outcome(after, "") is None
    # One worker for both, unless the first one died.
    convert_workers = [worker for worker in bench.engine.workers if worker.work == "convert"]
    assert len(convert_workers) == (1 if exit_status is None else 2)
    assert all(worker.killed for worker in bench.engine.workers)


def test_cores_are_shared_out(tmp_path: Path) -> None:
    """A worker that stays shares them with every slot; one for a single job, with what runs when it starts."""
    bench = Bench(tmp_path)
    bench.observe(bench.job("stays"), replace(bench.job("single"), alone=True))
    assert bench.engine.threads == [3, 3, 6, 6]


def test_the_log_of_a_dead_worker_has_its_last_words(tmp_path: Path) -> None:
    bench = Bench(tmp_path, bad=only("convert", Deed(None, released=False, exit=Exit(signal=6))))
    bad, _, again = bench.observe(bench.job("bad"), bench.job("after"), bench.job("bad"))
    assert bench.blobs.read(bad.passes[0].log) == b"log of convert\nlast words\n"
    assert bench.blobs.read(again.passes[0].log) == b"log of convert\nlast words\n"


def test_a_job_that_goes_well(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (found,) = bench.observe(bench.job("x"))
    assert {name: bench.blobs.read(blob) for p in found.passes for name, blob in p.files.items()} == {
        "memory.npz": ANSWER,
        "reloaded.npz": ANSWER,
    }
    assert (found.role, found.environment, found.python, found.installed) == (
        "converter",
        "env",
        "3.8.9",
        {"onnx": "1.5.0"},
    )
    assert (found.limits_seconds, found.limits_memory_mb) == (0.15, 1000)


def test_the_saved_artifact_reaches_the_second_pass_and_is_not_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.observe(bench.job("x"))
    assert [(work, given) for work, _, given in bench.engine.seen] == [
        ("convert", ["inputs.npz"]),
        ("reload", ["inputs.npz", "saved", "saved/graph.pb"]),
    ]
    assert not (tmp_path / "work").exists()
    assert all(path.read_bytes() != b"graph" for path in (tmp_path / "blobs").rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", [kind for kind in JOB_TYPES if kind != "direct"])
def test_every_kind_of_job_goes_through_its_passes(tmp_path: Path, kind: JobKind) -> None:
    bench = Bench(tmp_path)
    job = bench.job("x", kind)
    (found,) = bench.observe(job)
    assert [p.name for p in found.passes] == [p.name for p in job.passes]
    several = {"convert": ["convert", "reload"], "inspect": ["inspect", "choose"]}
    assert [p.name for p in job.passes] == several.get(kind, [kind])


def test_one_worker_a_pass_serves_all_jobs(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.observe(*(bench.job(f"j{n}") for n in range(4)))
    assert [worker.work for worker in bench.engine.workers] == ["convert", "reload"]
    assert bench.engine.prepared == ["env"]


def test_a_worker_that_died_between_two_jobs_costs_none_of_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.expecting = True

    async def use(lane: Lane) -> list[Observation]:
        first = await lane.observe(bench.job("first"))
        bench.engine.workers[0].die(Exit(signal=11))
        second = await lane.observe(bench.job("second"))
        bench.expecting = False
        return [first, second]

    assert [outcome(found, "") for found in bench.run(use)] == [None, None]
    assert [worker.work for worker in bench.engine.workers] == ["convert", "reload", "convert"]
    # What a dead worker started is ended with it.
    assert bench.engine.workers[0].killed


def leaves(name: str, content: str | None = None) -> Callable[[Path], None]:
    def then(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        if content is None:
            (folder / name).symlink_to("/etc/hostname")
        else:
            (folder / name).write_text(content)

    return then


GARBAGE = {
    "no JSON": "{",
    "no object": "[]",
    "deep beyond reason": "[" * 100_000,
    "another job's report": json.dumps(small.report(*GOOD["convert"], job="else")),
    "an error that is a word": '{"schema": 1, "job": "JOB", "pass": "convert", "stages": [], "error": "x"}',
    "no stages": '{"schema": 1, "job": "JOB", "done": true}',
    "a link out of the folder": None,
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_report_that_is_garbage_is_no_report(tmp_path: Path, content: str | None) -> None:
    job = Bench(tmp_path).job("bad")
    text = content.replace("JOB", job.id) if content else None
    bench = Bench(tmp_path, bad=only("convert", Deed(WHOLE, {"memory.npz": ANSWER}, then=leaves("convert.json", text))))
    bad, after = bench.observe(job, bench.job("after"))
    assert bad.passes[0].result is None
    found = outcome(bad, "")
    assert found is not None and (found.finding.verdict, found.finding.reason) == ("error", "no-result")
    assert outcome(after, "") is None


def test_only_plain_files_are_taken(tmp_path: Path) -> None:
    bench = Bench(tmp_path, bad=only("convert", Deed(WHOLE, {"other.bin": b"x"}, then=leaves("memory.npz"))))
    (bad,) = bench.observe(bench.job("bad"))
    assert bad.passes[0].files == {}


def test_a_report_is_redacted_and_can_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    error = small.raised("at https://u:p@host, /home/anna/x, \udcff")
    wild = small.report("import", error=error, facts={"size": 1e999})
    text = json.dumps(wild).replace("Infinity", "1e999")
    found = read_report(text.encode(), "j")
    assert found is not None
    assert found["error"]["message"] == "at https://***@host, ~/x, ?"
    assert found["facts"] == {"size": None}
    assert read_report(json.dumps(small.report("import", facts={"size": float("nan")})).encode(), "j") is None


def test_a_report_of_a_shared_import_is_a_report() -> None:
    whole = small.report("import", "load")
    whole["stages"][0] |= {"seconds": 0, "shared": True}
    assert read_report(json.dumps(whole).encode(), "j") == whole


# --- the driver's own troubles ---------------------------------------------------------------------------------------


def test_a_full_disk_says_nothing_about_the_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.engine.start_fault = OSError(28, "No space left on device")
    first, second = bench.observe(bench.job("x"), bench.job("y"))
    for found in (first, second):
        assert found.obstacle == Obstacle("run", "infra", "disk-full", "OSError: [Errno 28] No space left on device")
        told = outcome(found, "")
        assert told is not None and told.finding.verdict == "infra"


@pytest.mark.parametrize("kind", ["infra", "unavailable", "error"])
def test_an_environment_that_cannot_be_built(tmp_path: Path, kind: Any) -> None:
    bench = Bench(tmp_path)
    bench.engine.broken["env"] = BuildFailed(kind, "reason", "text")
    for found in bench.observe(bench.job("x"), bench.job("y")):
        assert found.obstacle == Obstacle("build", kind, "reason", "text")
        assert found.passes == () and found.environment_id == ""
        assert found.installed == {"onnx": "1.5.0"}  # as locked


@pytest.mark.parametrize("count", [1, 3])
def test_a_fault_of_the_driver_reaches_everyone_who_waits(tmp_path: Path, count: int) -> None:
    bench = Bench(tmp_path)
    bench.engine.start_fault = RuntimeError("a bug")

    async def use(lane: Lane) -> list[Any]:
        return await asyncio.gather(*(lane.observe(bench.job(f"j{n}")) for n in range(count)), return_exceptions=True)

    assert [str(found) for found in bench.run(use)] == ["a bug"] * count


def test_a_job_that_comes_while_a_fault_is_dealt_with_is_not_forgotten(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.expecting = True
    late: list[asyncio.Future[Any]] = []

    async def use(lane: Lane) -> list[Any]:
        await lane.observe(bench.job("good"))
        kill = bench.engine.workers[0].kill

        async def slow_kill(oom: bool = False) -> None:
            late.append(asyncio.ensure_future(lane.observe(bench.job("late"))))
            await asyncio.sleep(0.01)
            await kill(oom)

        bench.engine.workers[0].kill = slow_kill  # type: ignore[method-assign]
        bench.deeds["bug"] = lambda _: (_ for _ in ()).throw(RuntimeError("a bug"))
        first = await asyncio.gather(lane.observe(bench.job("bug")), return_exceptions=True)
        bench.expecting = False
        return [*first, *await asyncio.gather(*late, return_exceptions=True)]

    found = bench.run(use)
    assert len(found) >= 2 and str(found[0]) == "a bug"


def test_closing_ends_what_is_going_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, slow=only("convert", Deed(HALF, released=False)))

    async def use(lane: Lane) -> None:
        waiting = asyncio.ensure_future(lane.observe(bench.job("slow")))
        while not bench.engine.seen:
            await asyncio.sleep(0.01)
        await lane.close()
        waiting.cancel()

    bench.run(use, Limits(seconds=60, memory_mb=1000))
    assert all(worker.killed for worker in bench.engine.workers)
    assert not (tmp_path / "work").exists()


def test_inputs_are_links_where_they_can_be(tmp_path: Path) -> None:
    inodes: list[int] = []

    def look(folder: Path) -> None:
        inbox = folder.parent.parent / "inbox"
        inodes.append((inbox / folder.name / "inputs.npz").stat().st_ino)

    bench = Bench(tmp_path, look=only("convert", Deed(HALF, then=look)))
    bench.observe(bench.job("look"))
    assert inodes == [bench.blobs.local(bench.inputs).stat().st_ino]
