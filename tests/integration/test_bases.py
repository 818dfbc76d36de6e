"""Real base images: made in an engine, and pinned and pulled from a registry on the loopback interface.

With MATRIX_CI=1 a missing engine or tool is a failure, elsewhere a skip that says what is missing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from docker.errors import DockerException, ImageNotFound
from product import wait_for

from matrix.core.errors import Indeterminate, MatrixError
from matrix.environments.docker import base_pins as pins
from matrix.environments.docker import names
from matrix.environments.docker.bases import BaseMissing, choose
from matrix.environments.docker.client import connect
from matrix.packages import interpreters
from matrix.packages.interpreters import Interpreter
from tools.bases import debian
from tools.bases.libraries import needed
from tools.bases.make import ImageMaker
from tools.bases.tree import CannotCopy, examine

PYTHON = "3.9"
NAME = names.local_base(PYTHON)
# The container in which it is made.
CONTAINER = f"torch-tf-matrix-base-{PYTHON}"

# What environments and jobs rely on, checked in the base as an unprivileged user, read-only and without network.
ASK = """
import bz2, ctypes, json, lzma, os, sqlite3, ssl, subprocess, sys, zlib
found = {"version": "%d.%d.%d" % sys.version_info[:3], "prefix": sys.prefix, "env": dict(os.environ)}
found["pip"] = subprocess.check_output(["pip", "--version"]).decode()
found["encoding"] = sys.getfilesystemencoding()
found["certificates"] = len(ssl.create_default_context().get_ca_certs())
found["folders"] = []
for folder, folders, files in os.walk(os.path.dirname(os.__file__)):
    found["folders"] += folders
    folders[:] = [name for name in folders if name != "site-packages"]  # pip has its own
print(json.dumps(found))
"""


def missing(text: str) -> None:
    if os.environ.get("MATRIX_CI") == "1":
        pytest.fail(text)
    pytest.skip(text)


def matrix(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "MATRIX_BASE"}
    command = [sys.executable, "-m", "matrix", "bases", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def client() -> docker.DockerClient:
    try:
        return connect()
    except MatrixError as error:
        missing(str(error))
        raise


@pytest.fixture(scope="module")
def base(client: docker.DockerClient) -> str:
    """Return the id of the base, made if it is missing."""
    if interpreters.find(PYTHON) is None:
        missing(f"Python {PYTHON} is needed; get it with: {interpreters.how_to_get(PYTHON)}")
    if shutil.which("mmdebstrap") is None:
        missing("mmdebstrap is needed; get it with: apt-get install mmdebstrap")
    done = matrix(PYTHON)
    assert done.returncode == 0, done.stderr
    return str(client.images.get(NAME).id)


def ask(client: docker.DockerClient, image: str) -> dict[str, Any]:
    out = client.containers.run(
        image, ["python3", "-c", ASK], user="12345:12345", read_only=True, network_disabled=True, remove=True
    )
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def test_a_base_is_like_the_official_one(client: docker.DockerClient, base: str) -> None:
    interpreter = interpreters.find(PYTHON)
    assert interpreter
    found = ask(client, base)
    assert (found["version"], found["prefix"]) == (interpreter.version, "/usr/local")
    assert f"/usr/local/lib/python{PYTHON}/site-packages/pip" in found["pip"]
    assert found["encoding"] == "utf-8"
    assert found["certificates"] > 50
    assert not {"test", "tests", "tkinter", "idlelib", "__pycache__"} & set(found["folders"])
    assert "asyncio" in found["folders"]
    assert found["env"]["PYTHON_VERSION"] == interpreter.version
    image = client.images.get(base)
    assert image.labels[names.LABEL] == "base" and image.labels[names.PYTHON] == interpreter.version
    # One shared layer, and one of its own.
    root = client.images.get(names.debian_root(debian.codename()))
    assert image.attrs["RootFS"]["Layers"][:-1] == root.attrs["RootFS"]["Layers"]
    assert not [tag for tag in image.tags if tag.startswith("python:")]


def test_nothing_is_made_again_when_nothing_changed(client: docker.DockerClient, base: str) -> None:
    done = matrix(PYTHON)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and all(" is current" in line for line in lines)
    assert client.images.get(NAME).id == base


@pytest.mark.slow
def test_made_again_it_is_the_same(client: docker.DockerClient, base: str, tmp_path: Path) -> None:
    interpreter = interpreters.find(PYTHON)
    assert interpreter
    tree = examine(interpreter)
    said: list[str] = []
    # Remains of a killed call do not matter.
    client.containers.create(base, "true", name=CONTAINER)
    root = client.images.get(names.debian_root(debian.codename()))
    ImageMaker(client, tmp_path, said.append).base(tree, needed(tree), root, again=True)
    assert said[-1].endswith(" as before")
    assert client.images.get(NAME).id == base
    assert not client.containers.list(all=True, filters={"name": CONTAINER})


def test_nobody_is_disturbed_who_is_making_the_same(client: docker.DockerClient, base: str, tmp_path: Path) -> None:
    interpreter = interpreters.find(PYTHON)
    assert interpreter
    tree = examine(interpreter)
    root = client.images.get(names.debian_root(debian.codename()))
    other = client.containers.run(base, ["sleep", "600"], name=CONTAINER, detach=True, init=True)
    try:
        with pytest.raises(Indeterminate, match="is already being made"):
            ImageMaker(client, tmp_path, print).base(tree, needed(tree), root, again=True)
        other.reload()
        assert other.status == "running"
    finally:
        other.remove(force=True)


@pytest.mark.slow
def test_an_interpreter_that_does_not_work_there_is_refused(
    client: docker.DockerClient, base: str, tmp_path: Path
) -> None:
    interpreter = interpreters.find(PYTHON)
    assert interpreter
    tree = examine(interpreter)
    broken = type(tree)(tree.prefix, tree.stdlib, tree.version, (*tree.modules, "no_such_module"))
    root = client.images.get(names.debian_root(debian.codename()))
    with pytest.raises(CannotCopy, match="No module named 'no_such_module'"):
        ImageMaker(client, tmp_path, print).base(broken, needed(tree), root, again=False)
    assert client.images.get(NAME).id == base
    assert not client.containers.list(all=True, filters={"name": CONTAINER})


def test_the_systems_own_python_is_refused() -> None:
    system = Path("/usr/bin/python3")
    if not system.exists():
        missing("the system's own Python is needed; get it with: apt-get install python3")
    with pytest.raises(CannotCopy, match="part of this machine's operating system"):
        examine(Interpreter(system, "3"))


# --- a registry ------------------------------------------------------------------------------------------------------


@dataclass
class Registry:
    address: str
    process: subprocess.Popen[bytes]

    @property
    def template(self) -> str:
        return f"{self.address}/python:{{python}}-slim"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty one, on a free port."""
    program = shutil.which("docker-registry")
    if program is None:
        missing("docker-registry is needed; get it with: apt-get install docker-registry")
        raise AssertionError
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    config = tmp_path / "registry.yml"
    store = {"filesystem": {"rootdirectory": str(tmp_path / "registry")}}
    # YAML reads JSON.
    config.write_text(json.dumps({"version": 0.1, "storage": store, "http": {"addr": address}}))
    with (tmp_path / "registry.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
    try:
        wait_for(lambda: answers(address), "the registry", 30, (tmp_path / "registry.log").read_text)
        yield Registry(address, process)
    finally:
        process.kill()
        process.wait()


def answers(address: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"http://{address}/v2/", timeout=5).ok
    return False


@pytest.fixture
def pushed(client: docker.DockerClient, registry: Registry, base: str) -> Iterator[str]:
    """Push the base and return its digest in the registry; the engine keeps only the base's own name."""
    name = f"{registry.address}/python"
    assert client.images.get(base).tag(name, f"{PYTHON}-slim")
    said = client.images.push(name, f"{PYTHON}-slim", stream=True, decode=True)
    (digest,) = [event["aux"]["Digest"] for event in said if "aux" in event]
    client.images.remove(f"{name}:{PYTHON}-slim")
    yield digest
    for reference in (f"{name}:{PYTHON}-slim", f"{name}@{digest}"):
        with contextlib.suppress(DockerException):
            client.images.remove(reference)


def test_pins_are_the_digests_of_a_registry(
    client: docker.DockerClient, registry: Registry, pushed: str, base: str, tmp_path: Path
) -> None:
    target = tmp_path / "bases.yml"
    done = matrix(PYTHON, "--pin", "--base", registry.template, "--to", str(target))
    assert done.returncode == 0, done.stderr
    pinned = pins.read(target)
    assert pinned == pins.BasePins(template=registry.template, digests={PYTHON: pushed})

    reference = f"{registry.address}/python@{pushed}"
    with pytest.raises(ImageNotFound):
        client.images.get(reference)
    # A local image takes precedence over a download, an explicit request over everything.
    assert choose(client, PYTHON, "auto", pinned).reference == NAME
    chosen = choose(client, PYTHON, "registry", pinned)
    assert (chosen.reference, chosen.id) == (reference, base)
    assert choose(client, PYTHON, "auto", pinned).reference == reference

    # First the image is missing, then the registry: nothing is pinned.
    before = target.read_bytes()
    done = matrix(PYTHON, "3.8", "--pin", "--base", registry.template, "--to", str(target))
    assert done.returncode == 2
    assert f"the registry has no {registry.address}/python:3.8-slim" in done.stderr
    registry.process.kill()
    registry.process.wait()
    done = matrix(PYTHON, "--pin", "--base", registry.template, "--to", str(target))
    assert done.returncode == 7
    assert "no registry answers" in done.stderr and done.stderr.count("\n") == 1
    assert target.read_bytes() == before
    with pytest.raises(BaseMissing, match=r"could not be downloaded .*python -m matrix bases 3\.8"):
        choose(client, "3.8", registry.template)


def test_a_base_of_the_wrong_python_is_refused(client: docker.DockerClient, base: str) -> None:
    name = "torch-tf-matrix/test-of-bases"
    assert client.images.get(base).tag(name, "3.8")
    try:
        with pytest.raises(BaseMissing, match=rf"{name}:3\.8 holds Python 3\.9\.\d+ where 3\.8 is needed"):
            choose(client, "3.8", name + ":{python}")
    finally:
        client.images.remove(f"{name}:3.8")
