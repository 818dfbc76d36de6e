"""Which engine a session gets, and what it is told about it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from matrix.core.errors import EngineUnavailable
from matrix.environments import choose as choosing
from matrix.environments.choose import choose
from matrix.environments.docker.engine import DockerEngine
from matrix.environments.engine import BuildFailed
from matrix.environments.venv import VenvEngine
from matrix.packages.index import IndexSettings
from matrix.store.state import State


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")


class Answering(DockerEngine):
    """An engine that answers; `lacking` is what it says of base images."""

    lacking: BuildFailed | None = None
    probed: ClassVar[list[tuple[str, bool]]] = []

    def check(self) -> None: ...

    def describe(self) -> str:
        return "Docker 99"

    def base(self, python: str, download: bool = False) -> None:
        self.probed.append((python, download))
        if self.lacking:
            raise self.lacking


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> type[Answering]:
    Answering.lacking, Answering.probed = None, []
    monkeypatch.setattr("matrix.environments.docker.engine.DockerEngine", Answering)
    return Answering


def chosen(tmp_path: Path, name: str, probe: str | None = "3.11") -> tuple[object, str]:
    return choose(name, State(tmp_path), IndexSettings(), "auto", tmp_path, probe)


def test_auto_without_an_engine_is_venv_with_the_reason(nobody: None, tmp_path: Path) -> None:
    engine, why = chosen(tmp_path, "auto")
    assert isinstance(engine, VenvEngine)
    assert "engine venv" in why and "no engine answers (its socket does not exist)" in why


def test_docker_without_an_engine_ends_with_what_to_do(nobody: None, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"start one .* DOCKER_HOST .* --engine venv") as raised:
        chosen(tmp_path, "docker")
    assert "\n" not in str(raised.value) and raised.value.exit_code == 6


def test_venv_asks_no_engine(answering: type[Answering], tmp_path: Path) -> None:
    engine, why = chosen(tmp_path, "venv")
    assert isinstance(engine, VenvEngine) and "as requested" in why and not answering.probed


def test_auto_takes_an_engine_that_answers_and_has_base_images(answering: type[Answering], tmp_path: Path) -> None:
    engine, why = chosen(tmp_path, "auto")
    assert isinstance(engine, answering) and why == "engine docker, because it is running: Docker 99"
    assert answering.probed == [("3.11", True)]


def test_auto_does_without_an_engine_that_gets_no_base_image(answering: type[Answering], tmp_path: Path) -> None:
    answering.lacking = BuildFailed("unavailable", "base-missing", "no base image for Python 3.11: make one")
    engine, why = chosen(tmp_path, "auto")
    assert isinstance(engine, VenvEngine) and why.endswith("because no base image for Python 3.11: make one")
    # Who asks for docker gets docker; each row says what it lacks.
    assert isinstance(chosen(tmp_path, "docker")[0], answering)


def test_docker_is_found_where_it_lies() -> None:
    """The folder docker/ belongs to the project; an installed wheel carries it inside the package."""
    assert (choosing.DOCKER / "Dockerfile").is_file() and (choosing.DOCKER / "job.sh").is_file()
