"""Make base images: a Debian root that all share, and one layer for each Python."""

from __future__ import annotations

import hashlib
import json
import shlex
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.models.images import Image

from matrix.core.errors import Indeterminate
from matrix.core.text import redact
from matrix.environments.docker import names
from matrix.packages import interpreters
from tools.bases import debian
from tools.bases.archive import Description, Layer, TarWriter, copy_sorted, extract_layers, layer, write_image
from tools.bases.libraries import Libraries, needed
from tools.bases.tree import CannotCopy, Tree, examine

# Part of every recipe: increase it when this code would make other bases than before.
_SCHEMA = 1
# As in the official images.
_VARIABLES = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_ROOT_MADE_BY = "mmdebstrap --variant=minbase"
_WAIT_SECONDS = 600

# Run in a container without network, on the root and the tree. The resulting /usr/local becomes the layer.
_FINISH = """
ldconfig
/usr/local/bin/python{python} -m ensurepip --default-pip
/usr/local/bin/python{python} -c {check}
"""


@dataclass
class ImageMaker:
    """Makes bases in one engine. `scratch` needs about 500 MB; `say` receives lines of progress."""

    client: docker.DockerClient
    scratch: Path
    say: Callable[[str], None]
    _root: tuple[Image, list[Layer]] | None = field(default=None, init=False)

    def root(self, codename: str, wanted: frozenset[str], again: bool) -> Image:
        """Return the Debian root, made where it is missing or lacks a wanted package.

        Raises EngineUnavailable and Indeterminate as `debian.make` does, and docker-py's errors.
        """
        name = names.debian_root(codename)
        old = _image(self.client, name)
        has = frozenset(old.labels.get(names.PACKAGES, "").split()) if old else frozenset()
        if old and not again and old.labels.get(names.RECIPE) == str(_SCHEMA) and wanted <= has:
            self.say(f"{name} is current")
            return old
        # The libraries of every Python of this machine, so that the next one needs no new root.
        everything = wanted | has | _needed_by_all()
        self.say(f"{name}: making it with mmdebstrap …")
        root = layer(debian.make(codename, everything, self.scratch))
        labels = {
            names.RECIPE: str(_SCHEMA),
            names.PACKAGES: " ".join(sorted(everything)),
            "org.opencontainers.image.title": f"Debian {codename}, minimal",
            "org.opencontainers.image.version": codename,
        }
        image = self._load(Description(name, _VARIABLES, "bash", labels, (_ROOT_MADE_BY,)), [root], old)
        self._root = image, [root]
        return image

    def base(self, tree: Tree, libraries: Libraries, root: Image, again: bool) -> None:
        """Make the base for one interpreter, unless it is current.

        Raises CannotCopy where the interpreter does not work in it, Indeterminate where another process is making it,
        and docker-py's errors.
        """
        name = names.local_base(tree.python)
        path = self.scratch / "tree.tar"
        with TarWriter(path) as tar:
            tree.write(tar, libraries.own)
        parts = [_SCHEMA, layer(path).digest, root.attrs["RootFS"]["Layers"], tree.modules]
        recipe = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        old = _image(self.client, name)
        if old and not again and old.labels.get(names.RECIPE) == recipe:
            self.say(f"{name} is current ({tree.version})")
            return
        self.say(f"{name}: making it from Python {tree.version} at {redact(str(tree.prefix))} …")
        layers = [*self._layers(root), self._finished(tree, root, path)]
        labels = {
            names.RECIPE: recipe,
            names.PYTHON: tree.version,
            "org.opencontainers.image.title": f"Python {tree.version} on minimal Debian",
            "org.opencontainers.image.version": tree.version,
        }
        made_by = (_ROOT_MADE_BY, f"Python {tree.version} of this machine, ldconfig, ensurepip")
        variables = {**_VARIABLES, "PYTHON_VERSION": tree.version}
        self._load(Description(name, variables, "python3", labels, made_by), layers, old)

    def _layers(self, root: Image) -> list[Layer]:
        if self._root is None or self._root[0].id != root.id:
            self._root = root, extract_layers(root.save(), self.scratch)
        return self._root[1]

    def _finished(self, tree: Tree, root: Image, path: Path) -> Layer:
        """Return the layer of an interpreter: its tree, pip, and the linker's cache for its libraries."""
        check = f"import {', '.join(tree.modules)}"
        script = _FINISH.format(python=tree.python, check=shlex.quote(check))
        name = f"torch-tf-matrix-base-{tree.python}"
        self._remove_leftover(name)
        container: Container = self.client.containers.create(
            str(root.id), ["sh", "-ec", script], name=name, network_disabled=True, labels={names.LABEL: names.MAKER}
        )
        try:
            with path.open("rb") as stream:
                container.put_archive("/", stream)
            container.start()
            status = container.wait(timeout=_WAIT_SECONDS)["StatusCode"]
            if status != 0:
                said = redact(container.logs(tail=5).decode(errors="replace")).strip()
                raise CannotCopy(f"Python {tree.version} at {tree.prefix} does not work on a minimal Debian: {said}")
            target = self.scratch / "layer.tar"
            with TarWriter(target) as tar:
                copy_sorted(self._fetched(container, "/etc/ld.so.cache"), tar, lambda name: f"etc/{name}")
                copy_sorted(self._fetched(container, "/usr/local"), tar, _kept)
            return layer(target)
        finally:
            container.remove(force=True, v=True)

    def _remove_leftover(self, name: str) -> None:
        """Remove a container that a killed process left. Raises Indeterminate where it is still running."""
        try:
            container = self.client.containers.get(name)
        except NotFound:
            return
        if container.status == "running":
            raise Indeterminate(f"container {name} is running: this base is already being made; wait for it")
        container.remove(force=True, v=True)

    def _fetched(self, container: Container, place: str) -> Path:
        path = self.scratch / "fetched.tar"
        stream, _ = container.get_archive(place)
        with path.open("wb") as out:
            out.writelines(stream)
        return path

    def _load(self, what: Description, layers: list[Layer], old: Image | None) -> Image:
        labels = {names.LABEL: names.BASE, **what.labels}
        archive = self.scratch / "image.tar"
        write_image(archive, replace(what, labels=labels), layers, self.client.version()["Arch"])
        with archive.open("rb") as stream:
            self.client.images.load(stream)
        archive.unlink()
        image = self.client.images.get(what.name)
        same = old is not None and old.id == image.id
        if old and not same:
            self._remove_nameless(str(old.id))
        self.say(f"{what.name}: {image.short_id}{' as before' if same else ''}")
        return image

    def _remove_nameless(self, identity: str) -> None:
        """Remove an image whose name a new one got, unless it has another name."""
        # Refused while images of the classic builder use it; the engine removes it with the last of them.
        with suppress(DockerException):
            if not self.client.images.get(identity).tags:
                self.client.images.remove(identity)


def make(
    client: docker.DockerClient, pythons: Sequence[str], again: bool, say: Callable[[str], None]
) -> dict[str, str]:
    """Make the bases of `pythons` (`X.Y`) that are missing or outdated, or all with `again`.

    Returns the Pythons that failed, with the reasons. Raises EngineUnavailable where this machine is not a Debian or
    lacks mmdebstrap, Indeterminate where mmdebstrap fails or another process is making a base, and docker-py's errors.
    """
    codename = debian.codename()
    problems: dict[str, str] = {}
    trees: list[tuple[Tree, Libraries]] = []
    for python in pythons:
        try:
            trees.append(_examined(python))
        except CannotCopy as error:
            problems[python] = str(error)
    if not trees:
        return problems
    wanted = debian.packages(name for _, libraries in trees for name in libraries.packages)
    with tempfile.TemporaryDirectory(prefix="torch-tf-matrix-bases-") as folder:
        maker = ImageMaker(client, Path(folder), say)
        root = maker.root(codename, wanted, again)
        for tree, libraries in trees:
            try:
                maker.base(tree, libraries, root, again)
            except CannotCopy as error:
                problems[tree.python] = str(error)
    return problems


def _examined(python: str) -> tuple[Tree, Libraries]:
    interpreter = interpreters.find(python)
    if interpreter is None:
        raise CannotCopy(f"Python {python} is not on this machine; install it: {interpreters.how_to_get(python)}")
    tree = examine(interpreter)
    return tree, needed(tree)


def _needed_by_all() -> frozenset[str]:
    found: set[str] = set()
    for python in names.SUPPORTED:
        with suppress(CannotCopy):
            found |= _examined(python)[1].packages
    return frozenset(found)


def _kept(name: str) -> str | None:
    """Return the path in the layer of a file of the container's /usr/local, None to leave it out."""
    if not name.startswith(("local/bin/", "local/lib/")) or "/__pycache__/" in name:
        return None
    return f"usr/{name}"


def _image(client: docker.DockerClient, name: str) -> Image | None:
    try:
        return client.images.get(name)
    except ImageNotFound:
        return None
