"""Choose the engine: the one requested, or Docker where it is running."""

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
    """Return the engine, and a sentence that names it and the reason. Raises EngineUnavailable.

    `committed` is the folder of the locks among which images share layers, `code` is converter/. `probe` is a Python
    that every run needs: `auto` skips an engine that has no base image of it and cannot download one.
    """
    venv = VenvEngine(state.environments, settings, code)
    if name == "venv":
        venv.check()
        return venv, f"engine venv, as requested: {venv.describe()}; packages are isolated, code is not sandboxed"
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
    why = "as requested" if name == "docker" else "because it is running"
    return containers, f"engine docker, {why}: {containers.describe()}"


def docker_engine(
    state: State, settings: IndexSettings, base: str, committed: Path, code: Path = CONVERTER
) -> DockerEngine:
    """Return the Docker engine, whether or not it is running."""
    # docker-py is slow to import.
    from matrix.environments.docker.engine import DockerEngine

    return DockerEngine(state.root / "contexts", state.mark, settings, code, DOCKER, base, committed)
