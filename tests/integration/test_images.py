"""The files of an environment's image: the environment, and no traces of the build."""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import docker
import pytest
from engine import OWN_FILE, environment_image, nameless, own_bases
from product import Project
from tables import ROOT, TF1, small_model, write_table

from matrix.environments.docker import bases
from matrix.packages.lock import Lock, read_locks

pytestmark = pytest.mark.slow

LOCKS = read_locks(ROOT / "envs")
CLASSIC = {"DOCKER_BUILDKIT": "0"}

# In every environment it makes.
_UV_LEAVES = (".gitignore", "CACHEDIR.TAG")


class Entry(NamedTuple):
    """A file, folder or link of an image, without its time."""

    kind: bytes
    mode: int
    owner: tuple[int, int]
    target: str
    content: str


class Tree(dict[str, Entry]):
    """Path to entry; `starts` holds the first 16 bytes of every .pyc."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: dict[str, bytes] = {}


class _Stream:
    """Present chunks as a file that is read once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and (chunk := next(self._chunks, b"")):
            self._rest += chunk
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def tree(engine: docker.DockerClient, image: str) -> Tree:
    """Return all files of an image except the one that makes a base distinct."""
    found = Tree()
    container = engine.api.create_container(image, ["true"])["Id"]
    try:
        stream = cast("IO[bytes]", _Stream(iter(engine.api.export(container, chunk_size=2**20))))
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if member.islnk():
                    # A hard link to an earlier file.
                    found[member.name] = found[member.linkname]
                    continue
                content = ""
                if member.isreg():
                    data = cast("IO[bytes]", archive.extractfile(member)).read()
                    content = hashlib.sha256(data).hexdigest()
                    if member.name.endswith(".pyc"):
                        found.starts[member.name] = data[:16]
                owner = (member.uid, member.gid)
                found[member.name] = Entry(member.type, member.mode, owner, member.linkname, content)
    finally:
        engine.api.remove_container(container, force=True)
    found.pop(OWN_FILE, None)
    return found


def differences(one: Tree, other: Tree) -> list[str]:
    changed = [f"{path}: {one[path]} != {other[path]}" for path in one if path in other and one[path] != other[path]]
    return [*changed, *(f"{path} only once" for path in sorted(one.keys() ^ other.keys()))]


class Built(NamedTuple):
    tree: Tree
    image: dict[str, Any]


@pytest.fixture
def project(tmp_path: Path, docker_state: Path) -> Project:
    project = Project(tmp_path / "project", tmp_path / "state", None, "docker")
    write_table(project.folder, [small_model("good")])
    return project


def build(engine: docker.DockerClient, project: Project, row: str, env: dict[str, str | None]) -> Built:
    """Build the row's image from its first step."""
    with own_bases(engine, LOCKS[row].python) as base:
        done = project.call("build", row, "--base", base, env=env, patience=500)
        assert done.code == 0, done.err
        assert ("built with classic" in done.err) == (env == CLASSIC)
        image = environment_image(row, project.state, base)
        attributes = engine.images.get(image).attrs
        found = tree(engine, image)
        again = project.call("build", row, "--base", base, env=env)
        assert again.code == 0
        assert engine.images.get(image).id == attributes["Id"]
        assert not nameless(engine, base) or env == CLASSIC  # the classic builder's cache: stages, kept
    return Built(found, attributes)


@pytest.mark.parametrize("row", ["reference", TF1])
def test_two_builds_make_the_same_files_whichever_the_builder(
    engine: docker.DockerClient, project: Project, row: str
) -> None:
    first = build(engine, project, row, {})

    assert_environment(first.tree, LOCKS[row])
    base = bases.choose(engine, LOCKS[row].python, "auto", download=False)
    assert_nothing_of_the_build(first.tree, tree(engine, base.id), base.python.rsplit(".", 1)[0])
    assert_described(first.image, LOCKS[row])
    # The classic builder has nothing of another build: no package cache, no compiled files.
    second = build(engine, project, row, CLASSIC)
    assert differences(first.tree, second.tree) == []
    assert_described(second.image, LOCKS[row])


def assert_environment(files: Tree, lock: Lock) -> None:
    packages = f"opt/env/lib/python{lock.python}/site-packages/"
    installed = {
        (re.sub(r"[-_.]+", "-", found[1]).lower(), found[2])
        for path in files
        if (found := re.fullmatch(rf"{packages}([^/]+)-([^-/]+)\.(?:dist|egg)-info", path.rstrip("/")))
    }
    assert installed >= set(lock.packages.items())
    # Compiled, and valid regardless of the source's time.
    compiled = [path for path in files.starts if path.startswith((packages, f"usr/local/lib/python{lock.python}/"))]
    sources = [path for path in files if path.startswith(packages) and path.endswith(".py") and "/tests/" not in path]
    assert len(compiled) > 0.9 * len(sources) > 0
    for path in compiled:
        flags = int.from_bytes(files.starts[path][4:8], "little")
        if lock.python != "3.6":
            assert flags == 1, f"{path} is not checked by its hash alone"


def assert_nothing_of_the_build(files: Tree, base: Tree, python: str) -> None:
    """No tools, caches, certificates or scratch files: the base, the environment and Python's compiled library."""
    assert base.keys() <= files.keys()
    assert not [path for path in base if files[path] != base[path]]
    added = [path for path in sorted(files.keys() - base.keys()) if not path.startswith("opt/env/")]
    library = re.compile(rf"usr/local/lib/python{re.escape(python)}/(.+/)?__pycache__(/[^/]+\.pyc)?")
    assert not [path for path in added if path != "opt/env" and not library.fullmatch(path)]
    inside = {path.removeprefix("opt/env/").split("/")[0] for path in files if path.startswith("opt/env/")}
    assert inside <= {"bin", "lib", "lib64", "share", "include", "etc", "pyvenv.cfg", "installed.json", *_UV_LEAVES}


def assert_described(image: dict[str, Any], lock: Lock) -> None:
    labels = image["Config"]["Labels"]
    assert labels["torch-tf-matrix"] == "environment"
    assert labels["torch-tf-matrix.lock"] == lock.digest
    assert labels["torch-tf-matrix.row"] == labels["org.opencontainers.image.title"] == lock.name
    for package in {"onnxruntime", "onnx", "tensorflow", "onnx-tf"} & lock.packages.keys():
        assert f"{package}=={lock.packages[package]}" in labels["org.opencontainers.image.description"]
    assert {"version", "source", "base.name", "base.digest"} <= {
        name.removeprefix("org.opencontainers.image.") for name in labels
    }
    assert image["Config"]["User"] == "65534:65534"
    assert not image["Config"]["Entrypoint"] and image["Config"]["WorkingDir"] == "/"
