"""The engine stopped during a run, and full disks: findings are kept, and the next run completes them.

On a daemon of the tests' own (own_engine.py), whose data root is a small file system.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from engine import attempts, building, containers, environment_image, nameless, own_bases, running
from own_engine import OwnEngine, filled, own_engine, small_disk
from product import Finished, Project, wait_for
from tables import EXPORTER, ROOT, TF1, small_model, write_table

from matrix.environments.docker import bases
from matrix.packages.lock import read_locks

pytestmark = pytest.mark.slow

LOCKS = read_locks(ROOT / "envs")
ROWS = (EXPORTER, "reference", TF1)
PYTHONS = {LOCKS[name].python for name in ROWS}

# Room for the three images, a fourth that is built, and the free space that the product requires.
ENGINE_MB = 9000
STATE_MB = 400


class Own:
    """The daemon, its disk, and a client to it."""

    def __init__(self, daemon: OwnEngine, disk: Path) -> None:
        self.daemon = daemon
        self.disk = disk
        self.client = daemon.start()

    def restart(self) -> None:
        self.client.close()
        self.client = self.daemon.start()


@pytest.fixture(scope="module")
def own(engine: docker.DockerClient, docker_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    """A daemon with the images of EXPORTER, the reference and TF1, and their bases."""
    folder = tmp_path_factory.mktemp("own")
    usual = Project(folder / "project", docker_state, None, "docker")
    write_table(usual.folder, [small_model("good")])
    built = usual.call("build")
    assert built.code == 0, built.err
    names = [environment_image(row, docker_state) for row in ROWS]
    names += [bases.choose(engine, python, "auto", download=False).reference for python in sorted(PYTHONS)]
    with small_disk(ENGINE_MB, folder / "engine.img", folder / "engine") as disk, own_engine(disk) as daemon:
        own = Own(daemon, disk)
        with subprocess.Popen(["docker", "save", *names], stdout=subprocess.PIPE) as saving:
            loaded = subprocess.run(
                ["docker", "--host", daemon.address, "load"], stdin=saving.stdout, capture_output=True, text=True
            )
        assert (loaded.returncode, saving.returncode) == (0, 0), loaded.stderr
        yield own
        own.client.close()


@pytest.fixture
def starved(own: Own, tmp_path: Path) -> Iterator[Project]:
    """A separate --state on that daemon."""
    project = Project(tmp_path / "project", tmp_path / "state", None, "docker", own.daemon.env)
    yield project
    project.end_processes()


def assert_nothing_of_ours_is_left(own: Own, project: Project) -> None:
    assert not containers(own.client, project) and not attempts(own.client, project)
    assert not own.client.images.list(filters={"dangling": True, "label": "torch-tf-matrix"})


def assert_honest(done: Finished) -> None:
    """Check that it reports that it could not measure, and does not crash."""
    assert done.code == 7, done.err
    assert "Traceback" not in done.err
    assert {cell["verdict"] for cell in done.cells} <= {"match", "infra"}
    assert "infra" in {cell["verdict"] for cell in done.cells}


def three(project: Project) -> None:
    """Return models, the second slow enough for something to happen meanwhile."""
    models = [small_model("first"), small_model("slow", "slow", seed=1), small_model("last", seed=2)]
    write_table(project.folder, models)


def test_the_engine_stops_in_mid_run(own: Own, starved: Project) -> None:
    three(starved)
    with starved.started("run", "--format", "json") as driver:
        wait_for(lambda: starved.observed() > 0, "the first finding")
        wait_for(lambda: bool(running(own.client, starved)), "another job")
        own.daemon.stop()
        try:
            out, err = driver.communicate(timeout=120)
        finally:
            own.restart()
    done = Finished(driver.returncode, out, err, 0)
    assert_honest(done)
    assert all(cell["reason"] == "engine-lost" for cell in done.cells if cell["verdict"] == "infra"), done.cells
    before = starved.rows("select id, job from observation where finding order by id")
    assert before

    again = starved.run()

    assert again.code == 0, again.err
    assert [cell["verdict"] for cell in again.cells] == ["match"] * 3
    assert again.jobs == (9 - len(before), len(before)), "nothing is lost, and nothing done twice"
    assert starved.rows("select id, job from observation where finding order by id")[: len(before)] == before
    starved.assert_history_whole()
    assert_nothing_of_ours_is_left(own, starved)


def test_a_full_disk_of_the_engine(own: Own, starved: Project) -> None:
    write_table(starved.folder, [small_model("good")])
    with own_bases(own.client, LOCKS["reference"].python, PYTHONS) as name:
        with filled(own.disk, but_for=1000):
            refused = starved.run("--base", name)
        assert_honest(refused)
        (cell,) = refused.cells
        assert (cell["role"], cell["stage"], cell["reason"]) == ("reference", "build", "disk-full")
        shown = starved.call("show", cell["cell"]).out
        assert "its image may need" in shown and "Make room: python -m matrix clean" in shown

        # The estimate was right, but something else fills the disk during the build.
        with starved.started("run", "--format", "json", "--base", name) as driver:
            wait_for(lambda: building(starved) or driver.poll() is not None, "the build")
            time.sleep(0.5)
            with filled(own.disk, but_for=1):
                out, err = driver.communicate(timeout=240)
        failed = Finished(driver.returncode, out, err, 0)
        assert_honest(failed)
        assert failed.cells[0]["reason"] == "disk-full", starved.call("show", cell["cell"]).out

        done = starved.run("--base", name)
        assert done.code == 0, done.err + starved.call("show", cell["cell"]).out
        assert [cell["verdict"] for cell in done.cells] == ["match"]
        starved.assert_history_whole()
        assert_nothing_of_ours_is_left(own, starved)
        assert not nameless(own.client, name)


def test_a_full_disk_of_the_state(own: Own, starved: Project, tmp_path: Path) -> None:
    three(starved)
    with small_disk(STATE_MB, tmp_path / "state.img", starved.state) as disk:
        with starved.started("run", "--format", "json") as driver:
            wait_for(lambda: starved.observed() > 0, "the first finding")
            with filled(disk):
                _, err = driver.communicate(timeout=240)
        assert driver.returncode == 7, err
        assert "Traceback" not in err
        assert not containers(own.client, starved)

        done = starved.run()

        assert done.code == 0, done.err
        assert [cell["verdict"] for cell in done.cells] == ["match"] * 3
        starved.assert_history_whole()
        assert starved.rows("pragma integrity_check") == [("ok",)]
        assert_nothing_of_ours_is_left(own, starved)
