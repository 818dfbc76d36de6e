"""Disturbances of the Docker engine: its driver killed or interrupted, the engine missing."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from engine import attempts, building, built_on, containers, nameless, own_bases, running
from product import Project, wait_for
from tables import EXPORTER, ROOT, TF1, small_model, write_table

from matrix.packages.lock import read_locks

LOCKS = read_locks(ROOT / "envs")
PYTHONS = {LOCKS[name].python for name in (EXPORTER, "reference", TF1)}


@pytest.fixture
def bases(engine: docker.DockerClient, docker_state: object) -> Iterator[str]:
    """A --base that requires building the reference environment, the smallest; the others exist."""
    with own_bases(engine, LOCKS["reference"].python, PYTHONS) as name:
        yield name


@pytest.fixture
def lonely_caged(lonely: Project, engine: docker.DockerClient) -> Iterator[Project]:
    """A separate --state: its containers and unfinished images are distinguishable from all others."""
    project = Project(lonely.folder, lonely.state, None, "docker")
    yield project
    project.end_processes()
    for container in containers(engine, project):
        container.remove(force=True)


def contexts(project: Project) -> list[Path]:
    """Return the folders that images were built from."""
    return [*(project.state / "contexts").glob("context-*")]


def test_killed_while_building_a_run_still_completes(
    lonely_caged: Project, engine: docker.DockerClient, bases: str
) -> None:
    project = lonely_caged
    write_table(project.folder, [small_model("good")])
    assert project.call("build").code == 0
    moments: dict[str, tuple[Callable[[], bool], float]] = {
        "the build begins": (lambda: building(project), 0),
        "the build goes on": (lambda: building(project), 0.5),
        "the image has its first name": (lambda: bool(attempts(engine, project)), 0),
    }
    for what, (reached, later) in moments.items():
        with project.started("run", "--base", bases) as driver:
            wait_for(lambda driver=driver, reached=reached: driver.poll() is not None or reached(), what)
            time.sleep(later)
            assert driver.poll() is None, f"the run was over before {what}"
            driver.kill()
            driver.communicate()
        project.assert_no_process_left()
        wait_for(lambda: not running(engine, project), "the last container to end", 15)

    done = project.run("--base", bases)

    assert done.code == 0, done.err
    assert [cell["verdict"] for cell in done.cells] == ["match"]
    assert not containers(engine, project) and not attempts(engine, project)
    assert not nameless(engine, bases)
    assert not contexts(project), "with what reaches the index, credentials and all"
    project.assert_history_whole()
    assert project.rows("select status from run order by id") == [("killed",)] * len(moments) + [("complete",)]
    assert project.run("--base", bases).jobs == (0, 3)


def test_killed_while_the_classic_builder_works(lonely_caged: Project, engine: docker.DockerClient, bases: str) -> None:
    project = replace(lonely_caged, env={"DOCKER_BUILDKIT": "0"})
    write_table(project.folder, [small_model("good")])

    def steps() -> list[str]:
        """Return the builder's containers, recognisable only by their base."""
        return [str(container.id) for container in built_on(engine, bases)]

    with project.started("build", "reference", "--base", bases) as driver:
        wait_for(lambda: bool(steps()), "a step of the build")
        driver.kill()
        driver.communicate()
    wait_for(lambda: not steps(), "the builder to give up", 15)

    done = project.call("build", "reference", "--base", bases)

    assert done.code == 0, done.err
    assert not steps() and not containers(engine, project) and not attempts(engine, project)
    # The classic builder keeps the stages of an image until the next start.
    assert project.call("build", "reference", "--base", bases).code == 0
    assert not nameless(engine, bases)
    assert not contexts(project)


@pytest.mark.parametrize("factory", ["hang_with_a_child", "hang_in_c"])
def test_no_job_outlives_a_killed_driver(caged: Project, engine: docker.DockerClient, factory: str) -> None:
    write_table(caged.folder, [small_model("good"), small_model("hang", factory)])
    with caged.started("run") as driver:
        wait_for(lambda: caged.observed() > 0, "the first finding")
        wait_for(lambda: bool(running(engine, caged)), "the hanging job")
        time.sleep(2)  # It is not visible from outside that the worker has reached the line in which it hangs.
        driver.kill()
        driver.communicate()
    wait_for(lambda: not running(engine, caged), "the hanging job's container to end", 15)

    done = caged.run("--model", "good")

    assert done.code == 0, done.err
    assert [cell["verdict"] for cell in done.cells] == ["match"]
    assert not containers(engine, caged), "the killed driver's containers were not cleared away"
    caged.assert_history_whole()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_a_run_stops_its_containers(
    caged: Project, engine: docker.DockerClient, number: signal.Signals
) -> None:
    write_table(caged.folder, [small_model("hang", "hang_with_a_child")])
    with caged.started("run", "--format", "json") as driver:
        wait_for(lambda: bool(running(engine, caged)), "the hanging job")
        driver.send_signal(number)
        out, err = driver.communicate(timeout=30)
    assert driver.returncode == 130, err
    assert '"status": "interrupted"' in out
    assert not containers(engine, caged)
    caged.assert_no_process_left()


def test_interrupted_while_building(lonely_caged: Project, engine: docker.DockerClient, bases: str) -> None:
    write_table(lonely_caged.folder, [small_model("good")])
    with lonely_caged.started("build", "--base", bases) as driver:
        wait_for(lambda: building(lonely_caged), "the build")
        driver.send_signal(signal.SIGINT)
        driver.communicate(timeout=30)
    assert driver.returncode == 130
    lonely_caged.assert_no_process_left()
    assert not containers(engine, lonely_caged) and not attempts(engine, lonely_caged)
    assert not nameless(engine, bases)


NOWHERE = {"DOCKER_HOST": "unix:///nowhere.sock"}


@pytest.mark.parametrize("command", ["run", "build"])
def test_without_an_engine_one_sentence_says_what_to_do(lonely: Project, command: str) -> None:
    write_table(lonely.folder, [small_model("good")])
    done = lonely.call(command, "--engine", "docker", env=NOWHERE)
    assert done.code == 6
    (line,) = done.err.strip().splitlines()
    assert "no engine answers" in line and "DOCKER_HOST" in line and "--engine venv" in line
    assert not lonely.rows("select * from run")


def test_without_an_engine_auto_takes_virtual_environments_and_says_why(project: Project) -> None:
    write_table(project.folder, [small_model("good")])
    done = project.run("--engine", "auto", env=NOWHERE)
    assert done.code == 0, done.err
    first = done.err.splitlines()[0]
    assert first.startswith("engine venv: ") and "because no engine answers (its socket does not exist)" in first


def test_with_an_engine_auto_takes_it_and_says_so(caged: Project) -> None:
    write_table(caged.folder, [small_model("good")])
    done = caged.run("--engine", "auto")
    assert done.code == 0, done.err
    assert done.err.startswith("engine docker, because it answers: ")
