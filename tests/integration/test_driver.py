"""Disturbances of the driver: a second one, kill -9, Ctrl-C. Findings are kept; unfinished work is not used."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest
from product import Project, wait_for
from tables import TF1, TF2, small_model, write_table

MODELS = 2
# For each model an export, a reference and two conversions.
JOBS = MODELS * 4


def several(project: Project) -> None:
    write_table(project.folder, [small_model(f"good-{seed}", seed=seed) for seed in range(MODELS)], (TF1, TF2))


def inside(project: Project, words: str) -> Callable[[], bool]:
    """Whether a process inside an environment has `words` on its command line."""
    return lambda: any(f"{project.state}/envs/" in line and words in line for line in project.processes().values())


def assert_every_environment_is_whole(project: Project) -> None:
    stamps = project.stamps()
    assert stamps
    assert all(stamps.values()), f"without a stamp: {[str(path) for path, stamp in stamps.items() if not stamp]}"
    used = {name for (name,) in project.rows("select distinct environment_id from observation")}
    assert used <= {stamp["id"] for stamp in stamps.values() if stamp}


def test_a_second_driver_exits_at_once_and_the_first_goes_on(project: Project) -> None:
    write_table(project.folder, [small_model("hang", "hang")])
    with project.started("run") as first:
        wait_for(inside(project, "worker.py"), "the first driver's worker")
        for command in ("run", "build", "clean"):
            second = project.call(command, patience=30)
            assert second.code == 8, second.err
            assert f"pid {first.pid})" in second.err
            assert second.seconds < 5
        assert first.poll() is None

        first.send_signal(signal.SIGINT)
        first.communicate(timeout=30)
        assert first.returncode == 130
    project.assert_no_process_left()


@pytest.mark.parametrize(
    ("factory", "words"), [("hang_with_a_child", "time.sleep"), ("hang_in_c", "worker.py converter.stages.export")]
)
def test_no_job_outlives_a_killed_driver(project: Project, factory: str, words: str) -> None:
    write_table(project.folder, [small_model("hang", factory)])
    with project.started("run") as driver:
        wait_for(inside(project, words), "the hanging job")
        time.sleep(2)  # It is not visible from outside that the worker has reached the line in which it hangs.
        driver.kill()
        driver.communicate()
    project.assert_no_process_left()


def test_killed_again_and_again_a_run_still_completes(lonely: Project) -> None:
    several(lonely)
    moments: dict[str, Callable[[], bool]] = {
        "an environment is being built": lambda: any((lonely.state / "envs").glob("*")),
        "the first finding is stored": lambda: lonely.observed() > 0,
        "the first conversion is stored": lambda: bool(lonely.payloads("convert")),
    }
    for what, reached in moments.items():
        with lonely.started("run") as driver:
            wait_for(lambda driver=driver, reached=reached: driver.poll() is not None or reached(), what)
            assert driver.poll() is None, f"the run was over before {what}"
            driver.kill()
            driver.communicate()
        # The builder of an environment may finish; its result is not used.
        lonely.assert_no_process_left(seconds=60)
    before = lonely.rows("select id, job from observation where finding order by id")
    assert 0 < len(before) < JOBS

    done = lonely.run()

    assert done.code == 0, done.err
    assert [cell["verdict"] for cell in done.cells] == ["match"] * MODELS * 2
    assert done.jobs == (JOBS - len(before), len(before))
    assert lonely.rows("select id, job from observation where finding order by id")[: len(before)] == before
    lonely.assert_history_whole()
    assert_every_environment_is_whole(lonely)
    assert lonely.rows("select status from run order by id") == [("killed",)] * len(moments) + [("complete",)]
    assert lonely.run().jobs == (0, JOBS)


def test_terminated_while_building_nothing_half_built_stays(lonely: Project) -> None:
    several(lonely)
    with lonely.started("run", "--format", "json") as driver:
        wait_for(lambda: any((lonely.state / "envs").glob("*")), "the first environment")
        driver.send_signal(signal.SIGTERM)
        driver.communicate(timeout=30)
    assert driver.returncode == 130
    lonely.assert_no_process_left()
    assert all(lonely.stamps().values())


def test_interrupted_a_run_stores_what_it_has_and_continues(project: Project) -> None:
    several(project)
    with project.started("run", "--format", "json") as driver:
        wait_for(lambda: project.observed() > 0, "the first finding")
        driver.send_signal(signal.SIGINT)
        out, err = driver.communicate(timeout=30)
    assert driver.returncode == 130, err
    assert '"status": "interrupted"' in out
    project.assert_no_process_left()
    before = len(project.rows("select id from observation where finding"))
    assert 0 < before < JOBS

    done = project.run()

    assert done.code == 0, done.err
    assert done.jobs == (JOBS - before, before)
    project.assert_history_whole()
