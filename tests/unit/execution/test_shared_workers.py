"""Memory of shared workers: a job is judged `oom` only if it was alone on its worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Deed, good
from test_lane import HALF, WHOLE, Bench, only

from matrix.judging.outcome import outcome
from matrix.store.records import Exit
from matrix.table.model import Limits

KERNEL = Deed(HALF, released=False, exit=Exit(signal=9, oom=True))
DRIVER = Deed(HALF, released=False, rss_mb=2000)


def once(deed: Deed) -> Callable[[str], Deed]:
    """Misbehave the first time, then succeed."""
    left = [deed]
    return lambda work: left.pop() if work == "convert" and left else good(work, {"params": {}})


def workers(bench: Bench) -> int:
    return len([worker for worker in bench.engine.workers if worker.work == "convert"])


@pytest.mark.parametrize("deed", [KERNEL, DRIVER], ids=["the kernel ended it", "the driver ended it"])
def test_who_ran_out_of_memory_after_others_is_judged_again_alone(tmp_path: Path, deed: Deed) -> None:
    bench = Bench(tmp_path, unlucky=once(deed))
    before, unlucky, after = bench.observe(bench.job("before"), bench.job("unlucky"), bench.job("after"))
    assert [outcome(found, "") for found in (before, unlucky, after)] == [None, None, None]
    assert [record.name for record in unlucky.passes] == ["convert", "reload"], "the attempt that did not count is gone"
    assert [job for work, job, _ in bench.engine.seen if work == "convert"].count(bench.job("unlucky").id) == 2
    assert workers(bench) == 2


@pytest.mark.parametrize("deed", [KERNEL, DRIVER], ids=["the kernel ended it", "the driver ended it"])
def test_who_runs_out_of_memory_alone_too_is_what_it_is(tmp_path: Path, deed: Deed) -> None:
    bench = Bench(tmp_path, greedy=only("convert", deed))
    _, greedy, after = bench.observe(bench.job("before"), bench.job("greedy"), bench.job("after"))
    found = outcome(greedy, "")
    assert found is not None and (found.finding.verdict, found.finding.reason) == ("oom", "memory-limit")
    assert outcome(after, "") is None
    assert workers(bench) == 3, "shared, alone, and a new one for the next"


def test_the_first_of_a_worker_is_alone_and_not_tried_twice(tmp_path: Path) -> None:
    bench = Bench(tmp_path, greedy=only("convert", KERNEL))
    (greedy,) = bench.observe(bench.job("greedy"))
    found = outcome(greedy, "")
    assert found is not None and found.finding.verdict == "oom"
    assert workers(bench) == 1


def test_other_ends_are_not_tried_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, bad=only("convert", Deed(HALF, released=False, exit=Exit(signal=11))))
    _, bad = bench.observe(bench.job("before"), bench.job("bad"))
    found = outcome(bad, "")
    assert found is not None and found.finding.verdict == "crash"
    assert workers(bench) == 1


def test_a_users_job_whose_child_ran_out_of_memory_is_out_of_memory(tmp_path: Path) -> None:
    """The worker itself lives on, and may even have left a good result."""
    bench = Bench(tmp_path)
    job = replace(bench.job("hoards", "export"), alone=True)
    start = bench.engine.start

    async def start_in_a_cage_that_ran_full(*arguments: object) -> object:
        worker = await start(*arguments)
        kill = worker.kill

        async def kill_and_tell(oom: bool = False) -> None:
            await kill(oom=True)

        worker.kill = kill_and_tell
        return worker

    bench.engine.start = start_in_a_cage_that_ran_full
    (found,) = bench.observe(job)
    assert found.passes[0].exit == Exit(oom=True)
    told = outcome(found, "")
    assert told is not None and (told.finding.verdict, told.finding.reason) == ("oom", "memory-limit")


# --- what a pass hands to the next ------------------------------------------------------------------------------------


def swapped(name: str, target: Path) -> Callable[[Path], None]:
    """Replace the saved artifact, or the job's whole folder, by a link when the work is done."""

    def then(folder: Path) -> None:
        place = folder / name if name else folder
        place.rename(folder.parent / "elsewhere")
        place.symlink_to(target)

    return then


@pytest.mark.parametrize("name", ["saved", ""], ids=["the artifact", "the folder"])
def test_a_link_in_the_place_of_the_artifact_is_not_carried_on(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    (outside / "saved").mkdir(parents=True)
    (outside / "graph.pb").write_text("of the host")
    (outside / "saved" / "graph.pb").write_text("of the host")
    files = {"memory.npz": b"x", "saved/graph.pb": b"graph"}
    bench = Bench(tmp_path, tricks=only("convert", Deed(WHOLE, files, then=swapped(name, outside))))
    bench.observe(bench.job("tricks"), limits=Limits(seconds=1, memory_mb=1000))
    given = [names for work, _, names in bench.engine.seen if work == "reload"]
    assert not any("graph.pb" in entry for names in given for entry in names)
    assert {path.relative_to(outside).as_posix() for path in outside.rglob("*")} - {"convert.released"} == {
        "graph.pb",
        "saved",
        "saved/graph.pb",
    }
    assert (outside / "graph.pb").read_text() == "of the host"


def test_links_inside_the_artifact_stay_links(tmp_path: Path) -> None:
    """They are followed only in the environment of the next pass, not by the driver."""
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    kinds: list[bool] = []

    def plant(folder: Path) -> None:
        (folder / "saved" / "link").symlink_to(secret)

    def look(folder: Path) -> None:
        kinds.append((folder.parent.parent / "inbox" / folder.name / "saved" / "link").is_symlink())

    def deeds(work: str) -> Deed:
        deed = good(work, {"params": {}})
        return replace(deed, then=plant if work == "convert" else look)

    bench = Bench(tmp_path, tricks=deeds)
    bench.observe(bench.job("tricks"))
    assert kinds == [True]
