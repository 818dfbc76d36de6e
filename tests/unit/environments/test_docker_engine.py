"""Decisions of the Docker engine that need no engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import small
from docker.errors import ImageNotFound

from matrix.core.paths import CONVERTER, DOCKER
from matrix.environments.docker.client import Facts
from matrix.environments.docker.container import Container
from matrix.environments.docker.engine import DockerEngine
from matrix.environments.engine import BuildFailed, EngineFault, Environment
from matrix.families.onnx_tf import OnnxTf
from matrix.packages.index import IndexSettings
from matrix.packages.lock import Lock
from matrix.table.model import Limits

FACTS = Facts("99", False, False, "2", 4, True, "overlay2", None, "nowhere")


class Vanishing(DockerEngine):
    """Its image is not there the first time a container is wanted."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "contexts", "state", IndexSettings(), CONVERTER, DOCKER, "auto", root)
        self.__dict__["facts"] = FACTS
        self.__dict__["client"] = SimpleNamespace(api=SimpleNamespace(create_host_config=lambda **cage: cage))
        self.prepared = 0
        self.started: list[dict[str, Any]] = []
        self.trouble: BuildFailed | None = None

    async def prepare(self, lock: Lock) -> Environment:
        self.prepared += 1
        if self.trouble:
            raise self.trouble
        return Environment("id", lock, "env:1", lock.python, {})

    async def _container(self, options: dict[str, Any]) -> Container:
        self.started.append(options)
        if len(self.started) == 1:
            raise ImageNotFound("no such image")
        return SimpleNamespace(options=options)


def start(engine: Vanishing, tmp_path: Path) -> Any:
    lock = small.locks(small.config(tmp_path))["old"]
    environment = Environment("id", lock, "env:1", lock.python, {})
    return asyncio.run(engine.start(environment, OnnxTf().converts, tmp_path / "in", tmp_path / "out", Limits(), 1))


def test_an_image_that_somebody_removed_is_built_again(tmp_path: Path) -> None:
    engine = Vanishing(tmp_path)
    start(engine, tmp_path)
    assert engine.prepared == 1 and engine.started[0] == engine.started[1]


def test_where_it_cannot_be_built_again_the_job_is_no_finding(tmp_path: Path) -> None:
    engine = Vanishing(tmp_path)
    engine.trouble = BuildFailed("infra", "disk-full", "no room")
    with pytest.raises(EngineFault, match="no room") as raised:
        start(engine, tmp_path)
    assert raised.value.reason == "engine-error"


def test_what_a_container_is_given_can_be_read_by_any_user(tmp_path: Path) -> None:
    engine = Vanishing(tmp_path)
    start(engine, tmp_path)
    sources = {mount["Target"]: Path(mount["Source"]) for mount in engine.started[0]["host_config"]["mounts"]}
    for target in ("/matrix/converter", "/matrix/job.sh"):
        for path in (sources[target], *sources[target].rglob("*")):
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path
    assert (sources["/matrix/converter"] / "worker.py").read_bytes() == (CONVERTER / "worker.py").read_bytes()
    assert engine.started[0]["user"].split(":")[0] != "0"
