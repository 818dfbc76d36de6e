"""Integration tests: real packages from the index, real environments made by uv, and a real container engine.

Environments and images are built once for all processes (shared.py). Most tests of a process share one --state; those
that need a history of their own have their own database beside it. With MATRIX_CI=1 a missing interpreter or engine is
a failure, elsewhere a skip that says what is missing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import engine as engines
import pytest
import shared
from product import Finished, Project
from tables import EXPORTER, ROOT, TF1, TF2
from xdist.scheduler import LoadScopeScheduling

from matrix.packages import interpreters
from matrix.packages.lock import read_locks


def pytest_configure(config: pytest.Config) -> None:
    shared.begin(config)


# Files whose tests share state of one process: a run of the zoo.
_GROUPS = {"test_wrong_conversions": "test_models"}

# Slow files, the slowest first, so that what starts last is short.
_LONG = (
    *("test_article", "test_takeaway", "test_handover", "test_docker", "test_dashboard_browser", "test_cage"),
    *("test_driver", "test_models", "test_wrong_conversions", "test_divergence", "test_docker_failures", "test_time"),
    *("test_own_model", "test_blame_synthetic", "test_zoo", "test_update", "test_smoke", "test_pick", "test_picture"),
)


class _ByFile(LoadScopeScheduling):
    """Assigns each file, or the files of a group, to one process.

    `--dist loadgroup` would do, but pytest 9.2 does not see the names that pytest-xdist 3.8 gives the groups.
    """

    def _split_scope(self, nodeid: str) -> str:
        stem = Path(nodeid.partition("::")[0]).stem
        return _GROUPS.get(stem, stem)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow files first."""
    if all(item.path.parent == Path(__file__).parent for item in items):
        items.sort(key=lambda item: _LONG.index(item.path.stem) if item.path.stem in _LONG else len(_LONG))


def _need(*environments: str) -> None:
    locks = read_locks(ROOT / "envs")
    for name in environments:
        python = locks[name].python
        if interpreters.find(python) is None:
            text = f"{name} needs Python {python}; get it with: {interpreters.how_to_get(python)}"
            if os.environ.get("MATRIX_CI") == "1":
                pytest.fail(text)
            pytest.skip(text)


@pytest.fixture(scope="session")
def shared_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One --state for most tests of a process."""
    _need(EXPORTER, "reference", TF1, TF2)
    state = tmp_path_factory.mktemp("state")
    shared.environments(state, EXPORTER, "reference", TF1, TF2)
    yield state
    shutil.rmtree(state)


@pytest.fixture
def project(shared_state: Path, tmp_path: Path) -> Iterator[Project]:
    """The shared environments with a separate history. The test writes the table."""
    project = Project(tmp_path / "project", shared_state, tmp_path / "history.db")
    yield project
    project.end_processes()


@pytest.fixture
def lonely(shared_state: Path, tmp_path: Path) -> Iterator[Project]:
    """A separate --state with its own environments, gigabytes that are not kept."""
    project = Project(tmp_path / "project", tmp_path / "state")
    yield project
    project.end_processes()
    shutil.rmtree(project.state, ignore_errors=True)


@pytest.fixture(scope="session")
def real(shared_state: Path) -> Project:
    """The real table in place."""
    return Project(ROOT, shared_state)


@pytest.fixture(scope="session")
def smoke(real: Project) -> Finished:
    """The smoke tier of the real table, run once."""
    return real.run("--tier", "smoke", "--locked")


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The machine's engine. Images of the table's rows stay in it, as wheels stay in uv's cache: every run on this
    machine uses the same ones, perhaps right now. Images that a test builds on its own base are removed."""
    client = engines.client()
    yield client
    client.close()


@pytest.fixture(scope="session")
def docker_state(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One --state for most tests of the Docker engine."""
    engines.need_bases(engine, EXPORTER, "reference", TF1, TF2)
    shared.images(EXPORTER, "reference", TF1)
    return tmp_path_factory.mktemp("docker-state")


@pytest.fixture
def caged(engine: docker.DockerClient, docker_state: Path, tmp_path: Path) -> Iterator[Project]:
    """Like `project`, with images and containers."""
    project = Project(tmp_path / "project", docker_state, tmp_path / "history.db", "docker")
    yield project
    project.end_processes()
    for container in engines.containers(engine, project):
        container.remove(force=True)
