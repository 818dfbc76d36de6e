"""Inspect a real container engine: the project's containers and images, and no others."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import docker
import pytest
import shared
from docker.models.containers import Container
from product import Project
from tables import ROOT

from matrix.core.errors import EngineUnavailable
from matrix.environments.choose import choose
from matrix.environments.docker import bases, names
from matrix.environments.docker.client import connect
from matrix.packages.index import IndexSettings
from matrix.packages.lock import read_locks
from matrix.store.state import State


def lacking(text: str) -> NoReturn:
    """Fail if CI requires everything to be present, otherwise skip."""
    if os.environ.get("MATRIX_CI") == "1":
        pytest.fail(text)
    pytest.skip(text)


def client() -> docker.DockerClient:
    """Return the engine of this machine."""
    try:
        return connect()
    except EngineUnavailable as error:
        lacking(str(error))


def need_bases(engine: docker.DockerClient, *environments: str) -> None:
    """Require base images for these rows; under CI, missing ones are made (some seconds each)."""
    locks = read_locks(ROOT / "envs")
    pythons = sorted({locks[name].python for name in environments})
    with shared.alone("bases"):
        missing = {python: why for python in pythons if (why := _base_missing(engine, python))}
        if missing and os.environ.get("MATRIX_CI") == "1":
            done = subprocess.run(
                [sys.executable, "-m", "matrix", "bases", *missing], capture_output=True, text=True, timeout=600
            )
            assert done.returncode == 0, done.stderr
            missing = {}
    if missing:
        lacking("; ".join(missing.values()))


def _base_missing(engine: docker.DockerClient, python: str) -> str:
    try:
        bases.choose(engine, python, "auto", download=False)
    except bases.BaseMissing as error:
        return str(error)
    return ""


def mark(project: Project) -> str:
    """How the containers and unfinished images of a --state are labelled."""
    return State(project.state.absolute()).mark


def containers(engine: docker.DockerClient, project: Project) -> list[Container]:
    """Every container of the project's drivers, running or not."""
    found: list[Container] = engine.containers.list(
        all=True, filters={"label": f"{names.STATE}={mark(project)}"}, ignore_removed=True
    )
    return found


def attempts(engine: docker.DockerClient, project: Project) -> list[str]:
    """Tags of images whose build was never finished."""
    found = engine.api.images(filters={"reference": f"{names.ATTEMPTS}:{mark(project)}-*"})
    return [tag for image in found for tag in image["RepoTags"]]


def nameless(engine: docker.DockerClient, base: str) -> set[str]:
    """Return untagged images that were built on a base of `own_bases`."""
    name = base.removesuffix(":{python}")
    found = engine.images.list(filters={"dangling": True, "label": f"{_OWN}={name}"})
    return {str(image.id) for image in found}


def built_on(engine: docker.DockerClient, base: str) -> list[Container]:
    """Containers of anything on a base of `own_bases`."""
    label = f"{_OWN}={base.removesuffix(':{python}')}"
    found: list[Container] = engine.containers.list(all=True, filters={"label": label}, ignore_removed=True)
    return found


def environment_images(engine: docker.DockerClient) -> dict[str, str]:
    """Return {tag: image id} of every built environment, except temporary ones on bases of `own_bases`."""
    found = engine.images.list(filters={"label": f"{names.LABEL}={names.ENVIRONMENT_IMAGE}"})
    lasting = [image for image in found if _OWN not in image.labels]
    return {tag: str(image.id) for image in lasting for tag in image.tags if tag.startswith("torch-tf-matrix/env:")}


def environment_image(row: str, state: Path, base: str = "auto") -> str:
    """Return the name of a row's image, as the driver of a --state derives it from the committed lock and --base."""
    driver, _ = choose("docker", State(state), IndexSettings.resolve(), base, ROOT / "envs")
    return names.environment_image(driver.identify(read_locks(ROOT / "envs")[row]))


def building(project: Project) -> bool:
    """Whether BuildKit's command line works for the project."""
    return any(" build " in line and "contexts" in line for line in project.processes().values())


def running(engine: docker.DockerClient, project: Project) -> list[Container]:
    return [container for container in containers(engine, project) if container.status == "running"]


@contextlib.contextmanager
def no_new_layers(engine: docker.DockerClient) -> Iterator[None]:
    """At the end, remove layers that were added to BuildKit's cache meanwhile and belong to no image."""

    def layers() -> set[str]:
        found: list[dict[str, Any]] = engine.df().get("BuildCache") or []
        return {str(one["ID"]) for one in found if one["Type"] == "regular" and not one["InUse"]}

    before = layers()
    yield
    left = layers() - before
    # A layer is removed after those built on it; one in use stays.
    while left:
        for name in left:
            by_id: Any = {"id": name}
            engine.api.prune_builds(filters=by_id, all=True)
        left, tried = layers() - before, left
        if left == tried:
            break


# Label of a test's own base; images built on it inherit it.
_OWN = "torch-tf-matrix-test"

# Makes the base distinct: builders identify bases by content.
OWN_FILE = "etc/torch-tf-matrix-test"


def _archive(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@contextlib.contextmanager
def own_bases(engine: docker.DockerClient, changed: str, pythons: Iterable[str] = ()) -> Iterator[str]:
    """A value for --base under which Python `changed` has a base image of this test's own.

    It differs from the usual one by one file (OWN_FILE), so that environments on it have never been built, not even a
    layer of them, are nobody else's, and hold the same files. The other Pythons stand on the usual bases. At the end
    everything goes that was built on it.
    """
    name = f"torch-tf-matrix-test/{uuid.uuid4().hex[:12]}"
    made = []
    try:
        for python in {*pythons, changed}:
            usual = bases.choose(engine, python, "auto", download=False)
            if python == changed:
                created = engine.api.create_container(usual.id, ["true"], labels={_OWN: name})
                try:
                    engine.api.put_archive(created["Id"], "/", _archive(OWN_FILE, name.encode()))
                    image = engine.containers.get(created["Id"]).commit(name, python, changes=f"LABEL {_OWN}={name}")
                finally:
                    engine.api.remove_container(created["Id"], force=True)
            else:
                image = engine.images.get(usual.id)
                assert image.tag(name, python)
            made.append(f"{name}:{python}")
        yield name + ":{python}"
    finally:
        for image in engine.images.list(filters={"label": f"{_OWN}={name}"}):
            for tag in image.tags or [image.id]:
                if tag not in made:
                    engine.images.remove(tag)
        for tag in made:
            engine.images.remove(tag)
