"""The Docker engine: an image for each environment, a container for each worker."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import io
import json
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import docker
from docker.errors import ImageNotFound
from docker.models.images import Image
from packaging.utils import canonicalize_name

from matrix import __version__
from matrix.core.errors import EngineUnavailable
from matrix.core.text import redact
from matrix.environments.docker import bases, names
from matrix.environments.docker.builders import (
    BuildKit,
    Classic,
    ImageBuilder,
    ImageNotBuilt,
    drop_unused,
    forget_stages,
)
from matrix.environments.docker.cage import CONVERTER, INBOX, OUTBOX, WRAPPER, job_user, restrictions
from matrix.environments.docker.client import UNREACHABLE, Facts, buildkit_cli, connect, facts
from matrix.environments.docker.container import Container
from matrix.environments.docker.context import fill
from matrix.environments.docker.layers import shared_part
from matrix.environments.docker.room import Room
from matrix.environments.engine import BuildFailed, EngineFault, Environment, Stored, identity
from matrix.environments.installation import check_installed, install_failed, machine_fault
from matrix.environments.worker_client import WORKER, thread_variables
from matrix.families.registry import row_packages
from matrix.packages.index import IndexSettings
from matrix.packages.lock import Lock, read_locks
from matrix.store.records import Pass
from matrix.table.model import Limits

_INSTALLED = "/opt/env/installed.json"
_INSTALLED_CAP = 2**20
_SOURCE = "torch-tf-matrix"


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Raise EngineUnavailable where the engine is lost while a command queries it outside of builds and jobs."""
    try:
        yield
    except UNREACHABLE as error:
        raise EngineUnavailable(
            f"engine docker: the connection was lost ({redact(str(error))[:200]}); try again"
        ) from error


class DockerEngine:
    """Builds images `torch-tf-matrix/env:<id>`, valid only under that name.

    `scratch` is a folder for build contexts, `state` an id of the state folder, `recipe` is docker/, `base` the value
    of --base (bases.py), `committed` the folder of the locks whose images may share layers.
    """

    name = "docker"
    cage = True

    def __init__(
        self,
        scratch: Path,
        state: str,
        settings: IndexSettings,
        converter: Path,
        recipe: Path,
        base: str,
        committed: Path,
    ) -> None:
        self._scratch = scratch
        self._state = state
        self._settings = settings
        self._converter = converter
        self._recipe = recipe
        self.base_option = base
        self._committed = committed
        self._bases: dict[str, bases.BaseImage | str] = {}
        self._copying = threading.Lock()
        self._is_copied = False

    @cached_property
    def client(self) -> docker.DockerClient:
        return connect()

    @cached_property
    def facts(self) -> Facts:
        return facts(self.client)

    @cached_property
    def builder(self) -> ImageBuilder:
        command = None if self.facts.podman else buildkit_cli()
        return BuildKit(command) if command else Classic(self.client, self._state)

    @cached_property
    def _room(self) -> Room:
        return Room(self.facts.root)

    def check(self) -> None:
        """Raise EngineUnavailable where no engine answers."""
        _ = self.facts

    def describe(self) -> str:
        return f"{self.facts.name}, images built with {self.builder.name}"

    def disk(self) -> Path | None:
        return self.facts.root

    @_answering()
    def recover(self) -> None:
        """Remove what a killed driver's builds and containers left; its containers end by themselves.

        Raises EngineUnavailable.
        """
        # It may hold credentials of an index.
        shutil.rmtree(self._scratch, ignore_errors=True)
        mine: dict[str, Any] = {"label": [f"{names.LABEL}={names.JOB}", f"{names.STATE}={self._state}"]}
        for container in self.client.containers.list(all=True, filters=mine, ignore_removed=True):
            _quietly(container.remove, v=True, force=True)
        for image in self.client.images.list(filters={"reference": f"{names.ATTEMPTS}:{self._state}-*"}):
            for tag in image.tags:
                if f"{names.ATTEMPTS}:{self._state}-" in tag:
                    _quietly(self.client.images.remove, tag)
        _quietly(forget_stages, self.client, self._state)
        # An image loses its name when a newer one gets it.
        nameless: Any = {"dangling": True, "label": f"{names.LABEL}={names.ENVIRONMENT_IMAGE}"}
        _quietly(self.client.images.prune, filters=nameless)

    def ready(self, pythons: Iterable[str]) -> None:
        for python in pythons:
            with contextlib.suppress(BuildFailed):
                self.base(python, download=True)

    def identify(self, lock: Lock) -> str:
        return identity(
            lock,
            {
                "engine": self.name,
                "recipe": self._recipe_digest,
                "base": self.base(lock.python).id,
                "platform": "linux-x86_64",
            },
        )

    def base(self, python: str, download: bool = False) -> bases.BaseImage:
        """Return the base image for a Python. Raises BuildFailed, `infra` where the engine is lost."""
        if python not in self._bases:
            try:
                self._bases[python] = bases.choose(self.client, python, self.base_option, download=download)
            except bases.BaseMissing as error:
                self._bases[python] = str(error)
            except UNREACHABLE as error:
                raise BuildFailed(
                    "infra", "engine-lost", f"the engine does not answer: {redact(str(error))}"
                ) from error
        found = self._bases[python]
        if isinstance(found, str):
            raise BuildFailed("unavailable", "base-missing", found)
        return found

    @cached_property
    def _rows(self) -> list[Lock]:
        # A damaged lock of another row only means that one layer less is shared.
        return [*read_locks(self._committed, {}).values()]

    @cached_property
    def _recipe_digest(self) -> str:
        """A hash over everything that determines an image beside lock and base."""
        total = hashlib.sha256()
        for name in ("Dockerfile", "install.sh", "compile.py"):
            total.update(hashlib.sha256((self._recipe / name).read_bytes()).digest())
        return total.hexdigest()

    def shares(self, lock: Lock) -> str:
        return f"{lock.python} {shared_part(lock, self._rows)}"

    async def prepare(self, lock: Lock) -> Environment:
        base, name = self.base(lock.python), self.identify(lock)
        tag = names.environment_image(name)
        try:
            new = not await asyncio.to_thread(self._exists, tag)
            if new:
                async with self._room.claimed(lock):
                    await self._build(lock, base, name, tag)
        except ImageNotBuilt as error:
            await asyncio.to_thread(self._still_there, lock)
            raise install_failed(lock, str(error)) from error
        except UNREACHABLE as error:
            await asyncio.to_thread(self._still_there, lock)
            reason = "disk-full" if "no space left" in str(error).lower() else "engine-error"
            raise BuildFailed("infra", reason, f"{lock.name}: {redact(str(error))}") from error
        except OSError as error:
            raise machine_fault(lock, error) from error
        return Environment(name, lock, tag, base.python, lock.packages, new)

    async def _build(self, lock: Lock, base: bases.BaseImage, name: str, tag: str) -> None:
        """Build under a temporary name, check, and name it `tag`, which makes it valid.

        Raises ImageNotBuilt, BuildFailed and docker-py's errors.
        """
        attempt = names.attempt_image(self._state, name)
        self._scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix="context-") as folder:
            await asyncio.to_thread(fill, Path(folder), self._recipe, lock, self._rows, self._settings)
            await self.builder.build(Path(folder), base.reference, attempt, self._labels(lock, name, base))
        try:
            await asyncio.to_thread(self._check_base, attempt, lock, base)
            check_installed(lock, await asyncio.to_thread(self._installed, attempt))
            repository, version = tag.split(":")
            await asyncio.to_thread(self.client.api.tag, attempt, repository, version)
        finally:
            await asyncio.to_thread(_quietly, self.client.images.remove, attempt)

    def _check_base(self, image: str, lock: Lock, base: bases.BaseImage) -> None:
        """Raise BuildFailed (infra) where the base's name referred to another image by the time of the build."""
        below, there = (self.client.images.get(name).attrs["RootFS"]["Layers"] for name in (base.id, image))
        if there[: len(below)] != below:
            raise BuildFailed("infra", "base-changed", f"{lock.name}: {base.reference} was replaced while building")

    def _labels(self, lock: Lock, name: str, base: bases.BaseImage) -> dict[str, str]:
        """Return the labels of an image: those of the OCI, and ours."""
        named = dict.fromkeys(("torch", *row_packages(), "onnxruntime"))
        versions = " ".join(f"{package}=={lock.packages[package]}" for package in named if package in lock.packages)
        return {
            names.LABEL: names.ENVIRONMENT_IMAGE,
            names.LOCK: lock.digest,
            names.ROW: lock.name,
            names.ENVIRONMENT: name,
            "org.opencontainers.image.title": lock.name,
            "org.opencontainers.image.description": f"Python {base.python} {versions}",
            "org.opencontainers.image.version": __version__,
            "org.opencontainers.image.source": _SOURCE,
            "org.opencontainers.image.base.name": base.reference,
            "org.opencontainers.image.base.digest": base.id,
        }

    def _exists(self, tag: str) -> bool:
        try:
            self.client.images.get(tag)
        except ImageNotFound:
            return False
        return True

    def _still_there(self, lock: Lock) -> None:
        """Raise BuildFailed (infra) where the engine is gone."""
        if not self._answers():
            raise BuildFailed("infra", "engine-lost", f"{lock.name}: the engine was lost while building")

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except UNREACHABLE:
            return False

    def _installed(self, image: str) -> Mapping[str, str]:
        """Map every distribution in an image to its version, without running the image. Raises BuildFailed."""
        labels = {names.LABEL: names.JOB, names.STATE: self._state}
        container = self.client.api.create_container(image, ["true"], labels=labels, use_config_proxy=False)
        try:
            chunks, _ = self.client.api.get_archive(container["Id"], _INSTALLED)
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                member = archive.next()
                stream = archive.extractfile(member) if member else None
                listed = json.loads(stream.read(_INSTALLED_CAP)) if stream else []
            return {canonicalize_name(item["name"]): item["version"] for item in listed}
        except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
            text = f"what is installed in {image} cannot be read: {type(error).__name__}: {error}"
            raise BuildFailed("infra", "installed-differs-from-lock", text) from error
        finally:
            _quietly(self.client.api.remove_container, container["Id"], v=True, force=True)

    async def start(
        self, environment: Environment, work: Pass, inbox: Path, outbox: Path, limits: Limits, threads: int
    ) -> Container:
        copied = await asyncio.to_thread(self._copied)
        cage = restrictions(self.facts, limits, inbox, outbox, copied / "converter", copied / "job.sh")
        options: dict[str, Any] = {
            "image": environment.place,
            "entrypoint": ["sh", WRAPPER],
            "command": [
                *("/opt/env/bin/python", f"{CONVERTER}/worker.py", work.module),
                *("--inbox", INBOX, "--outbox", OUTBOX, "--lifeline"),
            ],
            "user": job_user(self.facts),
            "working_dir": OUTBOX,
            "environment": {
                **WORKER,
                **thread_variables(threads),
                "HOME": "/tmp",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            "labels": {names.LABEL: names.JOB, names.STATE: self._state, names.ROW: environment.lock.name},
            "host_config": self.client.api.create_host_config(**cage),
        }
        try:
            return await self._container(options)
        except ImageNotFound:
            # Removed meanwhile, for example by `clean` in another checkout.
            await self._again(environment)
            return await self._container(options)

    async def _again(self, environment: Environment) -> None:
        """Rebuild an environment whose image was removed. Raises EngineFault."""
        try:
            await self.prepare(environment.lock)
        except BuildFailed as failure:
            raise EngineFault(
                "engine-error", f"its image was removed, and cannot be built: {failure.text}"
            ) from failure

    async def _container(self, options: dict[str, Any]) -> Container:
        """Start a container. Raises ImageNotFound and EngineFault."""
        started = asyncio.ensure_future(asyncio.to_thread(Container, self.client, options))
        try:
            return await asyncio.shield(started)
        except asyncio.CancelledError:
            # The thread continues, and the container it starts must not be left running.
            with contextlib.suppress(*UNREACHABLE):
                await (await started).kill()
            raise
        except ImageNotFound:
            raise
        except UNREACHABLE as error:
            reason: Literal["engine-error", "engine-lost"] = "engine-error" if self._answers() else "engine-lost"
            text = f"the engine did not start a container: {redact(str(error))[:300]}"
            if "bind source path does not exist" in text:
                text += "; it cannot see this machine's files: run matrix on the machine of the engine"
            raise EngineFault(reason, text) from error

    def _copied(self) -> Path:
        """Return a folder with converter/ and job.sh for all containers, readable for any user of a container."""
        with self._copying:
            place = self._scratch / "copied"
            if not self._is_copied:
                shutil.rmtree(place, ignore_errors=True)
                shutil.copytree(self._converter, place / "converter", ignore=shutil.ignore_patterns("__pycache__"))
                shutil.copyfile(self._recipe / "job.sh", place / "job.sh")
                for path in (place, *place.rglob("*")):
                    path.chmod(0o755 if path.is_dir() else 0o644)
                self._is_copied = True
            return place

    def leave(self, environment: Environment) -> None: ...

    @_answering()
    def stored(self) -> list[Stored]:
        found = []
        for image in self.client.images.list(filters={"label": f"{names.LABEL}={names.ENVIRONMENT_IMAGE}"}):
            labels = image.labels or {}
            whole = any(names.ENVIRONMENTS in tag for tag in image.tags)
            found.append(
                Stored(
                    id=labels.get(names.ENVIRONMENT, ""),
                    environment=labels.get(names.ROW, "?"),
                    place=image.id or "",
                    parts=layers(image),
                    made=dt.datetime.fromisoformat(_second(image.attrs["Created"])),
                    whole=whole,
                )
            )
        return found

    def remove(self, places: Iterable[str]) -> None:
        for place in places:
            _quietly(self.client.images.remove, place, force=True)
        if self.builder.name == BuildKit.name:
            _quietly(drop_unused, self.client)


def layers(image: Image) -> dict[str, int]:
    """Map each layer of an image, identified together with those below it, to its size in bytes.

    Raises docker-py's errors.
    """
    sizes = [int(step["Size"]) for step in reversed(image.history()) if step["Size"]]
    chain, parts = hashlib.sha256(), {}
    for number, digest in enumerate(image.attrs["RootFS"]["Layers"]):
        chain.update(digest.encode())
        parts[chain.hexdigest()] = sizes[number] if number < len(sizes) else 0
    return parts


def _second(time: str) -> str:
    """Return an engine's time without its fraction: it has nine digits, and Python reads six."""
    return time[:19] + "+00:00"


def _quietly(action: Any, *arguments: Any, **options: Any) -> None:
    """Call a clean-up whose failure must not hide the original error."""
    with contextlib.suppress(*UNREACHABLE):
        action(*arguments, **options)
