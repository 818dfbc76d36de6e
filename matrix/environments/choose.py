"""Which engine: the one asked for, or Docker where one answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matrix.core.errors import EngineUnavailable
from matrix.core.paths import CONVERTER, DOCKER
from matrix.environments.engine import BuildFailed, Engine
from matrix.environments.venv import VenvEngine
from matrix.packages.index import IndexSettings
from matrix.store.state import State

if TYPE_CHECKING:
    from matrix.environments.docker.engine import DockerEngine


def choose(
    name: str,
    state: State,
    settings: IndexSettings,
    base: str,
    committed: Path,
    probe: str | None = None,
    code: Path = CONVERTER,
) -> tuple[Engine, str]:
    """The engine and one sentence that says which and why. Raises EngineUnavailable.

    `committed` is the folder of the locks among which images share layers, `code` what runs in environments. `probe` is
    a Python every run needs: an engine that answers but has no base image of it, and gets none, is not what `auto`
    means.
    """
    venv = VenvEngine(state.environments, settings, code)
    if name == "venv":
        venv.check()
        return venv, f"engine venv, as asked for: {venv.describe()}; it separates packages, it is no cage"
    containers = docker_engine(state, settings, base, committed, code)
    try:
        containers.check()
        if name == "auto" and probe is not None:
            containers.base(probe, download=True)
    except (EngineUnavailable, BuildFailed) as error:
        if name == "docker":
            raise
        venv.check()
        return venv, f"engine venv: {venv.describe()}, because {str(error).removeprefix('engine docker: ')}"
    why = "as asked for" if name == "docker" else "because it answers"
    return containers, f"engine docker, {why}: {containers.describe()}"


def docker_engine(
    state: State, settings: IndexSettings, base: str, committed: Path, code: Path = CONVERTER
) -> DockerEngine:
    """The Docker engine, whether or not one answers."""
    # docker-py takes a while to import: only who may use it pays.
    from matrix.environments.docker.engine import DockerEngine

    return DockerEngine(state.root / "contexts", state.mark, settings, code, DOCKER, base, committed)
