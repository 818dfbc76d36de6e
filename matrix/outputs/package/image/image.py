"""Make the image: a row's environment image, the reference environment as a second tree, and the program; push it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import docker
from docker.errors import BuildError, ContainerError
from docker.utils import parse_repository_tag

from matrix.core.errors import Indeterminate, UsageError
from matrix.core.paths import DOCKER
from matrix.core.text import redact
from matrix.environments.docker import names
from matrix.environments.docker.builders import PLATFORM, in_daemon
from matrix.environments.docker.client import UNREACHABLE
from matrix.environments.docker.engine import DockerEngine
from matrix.environments.docker.room import FLOOR_MEGABYTES, Room
from matrix.environments.engine import BuildFailed, Environment
from matrix.families import Family
from matrix.outputs.package.image.carried import write_program
from matrix.outputs.package.image.inside.toolchain import FILE, Toolchain
from matrix.packages.lock import Lock

KIND = "takeaway"
RUNTIME = "onnxruntime"
_STAGE = "torch-tf-matrix.stage=takeaway"
_REFERENCE_LOCK = "torch-tf-matrix.reference-lock"

# The size of the second tree, in the stage that gathers it and in the image.
_TREE_MB = 700

# A user that does not exist in the image, to check that any user can run it.
_ANY_USER = "54321:54321"

_NAME = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::\d+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*(?::\w[\w.-]{0,127})?")


@dataclass(frozen=True)
class Made:
    """An image. `onnxruntime` is the version carried, None if outputs to compare with have to be given; then `why`."""

    tag: str
    size_mb: int
    onnxruntime: str | None
    why: str


def default_tag(row: str) -> str:
    """Return `torch-tf-matrix/<row>:latest`, in the characters allowed in a repository's name."""
    return f"torch-tf-matrix/{re.sub(r'[^a-z0-9._-]+', '-', row.lower())}:latest"


def check_tag(tag: str) -> None:
    """Raise UsageError for a name that no engine accepts."""
    if not _NAME.fullmatch(tag):
        raise UsageError(
            f"--tag {tag}: not an image's name; use one like my-converter:1 or registry.example/me/my-converter:1"
        )


def check_room(engine: DockerEngine) -> None:
    """Raise Indeterminate if the engine's disk has no room for what an image adds to its environments."""
    free = Room(engine.disk()).free_mb()
    if free is not None and free < _TREE_MB + FLOOR_MEGABYTES:
        raise Indeterminate(
            f"the image may need {_TREE_MB} MB; the engine has {free} MB free, of which {FLOOR_MEGABYTES} stay free; "
            "make room: python -m matrix clean --engine docker"
        )


@dataclass(frozen=True)
class ImagePackager:
    """Makes the image of a row of `family` and calls it `tag`. `state` is the mark of the state folder, by which the
    remains of a killed driver are found; `runtime` carries ONNX Runtime along."""

    engine: DockerEngine
    state: str
    family: Family
    tolerances: Mapping[str, tuple[float, float]]
    tag: str
    runtime: bool

    async def make(self, lock: Lock, reference: Lock) -> Made:
        """Build and check the image. Raises Indeterminate with the builder's message."""
        engine = self.engine
        check_room(engine)
        try:
            await asyncio.to_thread(engine.ready, sorted({lock.python, reference.python}))
            environment, second = await engine.prepare(lock), await engine.prepare(reference)
            return await in_daemon(lambda: self.assemble(environment, second))
        except BuildFailed as error:
            raise Indeterminate(f"{error.kind}: {error.text.strip()}") from error
        except BuildError as error:
            log = "".join(str(part.get("stream") or part.get("error") or "") for part in error.build_log)
            raise Indeterminate(f"the image cannot be built: {redact(log or str(error))[-2000:].strip()}") from error
        except UNREACHABLE as error:
            raise Indeterminate(f"the engine failed: {redact(str(error))}") from error

    def assemble(self, environment: Environment, second: Environment) -> Made:
        """Make the image of two environments that exist. Raises Indeterminate, and DockerException, RequestException,
        HTTPError and ConnectionError as docker-py does."""
        version = second.lock.packages[RUNTIME] if self.runtime else None
        why = "" if self.runtime else "as asked for"
        attempt = f"{names.ATTEMPTS}:{self.state}-{KIND}-{environment.id[:12]}"
        client = self.engine.client
        try:
            self._build(environment, second, attempt, version)
            if version is not None and (trouble := self._refusal(attempt, f"import {RUNTIME}")):
                version, why = None, f"ONNX Runtime {version} does not start in this image: {trouble}"
                _remove(client, attempt)
                self._build(environment, second, attempt, version)
            if trouble := self._refusal(attempt, "import numpy, onnx"):
                raise Indeterminate(f"the second Python of the image does not start: {trouble}")
            image = client.images.get(attempt)
            repository, tag = parse_repository_tag(self.tag)
            client.api.tag(attempt, repository, tag or "latest")
        finally:
            _remove(client, attempt)
            # The builder leaves a stage that nothing refers to.
            client.images.prune(filters={"dangling": True, "label": _STAGE})
        return Made(self.tag, int(image.attrs["Size"]) // 2**20, version, why)

    def _build(self, environment: Environment, second: Environment, attempt: str, version: str | None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            _fill(Path(folder), self._toolchain(environment, version))
            # Through the library, not BuildKit's command: nothing is downloaded, so neither cache nor secret is needed.
            self.engine.client.images.build(
                path=folder,
                tag=attempt,
                buildargs={
                    "ENVIRONMENT": environment.place,
                    "REFERENCE": second.place,
                    "RUNTIME": "carried" if version else "none",
                },
                # Beside those inherited from the environment's image.
                labels={
                    names.LABEL: KIND,
                    _REFERENCE_LOCK: second.lock.digest if version else "",
                    "org.opencontainers.image.title": f"{environment.lock.name}, to take away",
                },
                platform=PLATFORM,
                rm=True,
                forcerm=True,
            )

    def _toolchain(self, environment: Environment, version: str | None) -> Toolchain:
        return Toolchain(
            row=environment.lock.name,
            environment=environment.id,
            lock=environment.lock.digest,
            versions={"python": environment.interpreter, **environment.installed},
            python="/opt/env/bin/python",
            reference_python="/opt/reference/python",
            onnxruntime=version,
            tolerances=dict(self.tolerances),
            packages=tuple(_installed(self.family, environment)),
            converts=self.family.converts.module,
            compared=asdict(self.family.scheme),
        )

    def _refusal(self, image: str, statement: str) -> str:
        """Return why the second Python cannot run a statement, as any user and without writing; '' if it can."""
        try:
            self.engine.client.containers.run(
                image,
                ["-c", statement],
                entrypoint="/opt/reference/python",
                user=_ANY_USER,
                read_only=True,
                network_disabled=True,
                labels={names.LABEL: names.JOB, names.STATE: self.state},
                remove=True,
                stderr=True,
            )
        except ContainerError as error:
            text = (
                error.stderr.decode(errors="replace") if isinstance(error.stderr, bytes) else str(error.stderr or error)
            )
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            return redact(lines[-1] if lines else f"exit status {error.exit_status}")[:300]
        return ""


def _fill(context: Path, toolchain: Toolchain) -> None:
    recipe = DOCKER / "takeaway"
    for name in ("Dockerfile", "collect.sh", "python"):
        shutil.copyfile(recipe / name, context / name)
    program = context / "program"
    write_program(program)
    shutil.copyfile(recipe / "convert", program / "convert")
    (program / FILE).write_text(toolchain.text(), encoding="utf-8")
    # The container's user is another one, whatever our own umask.
    for path in context.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path in (context / "python", program / "convert") else 0o644)


def _installed(family: Family, environment: Environment) -> Iterator[str]:
    """Yield the packages that name the row, each by the name of the distribution installed for it."""
    for package in family.packages:
        names = (*family.replaces.get(package, ()), package)
        yield next((name for name in names if name in environment.installed), package)


def _remove(client: docker.DockerClient, name: str) -> None:
    """Remove a name of an image; the image stays if it has another one."""
    with contextlib.suppress(*UNREACHABLE):
        client.images.remove(name)


class PushFailed(Exception):
    """The registry's message."""


def remote_name(tag: str, registry: str) -> str:
    """Return the name of `tag` in a registry, such as `registry.example` or `registry.example/me`."""
    registry = registry.rstrip("/")
    return tag if tag.startswith(f"{registry}/") else f"{registry}/{tag}"


def push(client: docker.DockerClient, tag: str, registry: str) -> str:
    """Push an image, with the credentials of the user's Docker configuration, and return `<name>@<digest>`. Raises
    Indeterminate with the registry's message."""
    name = remote_name(tag, registry)
    repository, version = parse_repository_tag(name)
    digest = ""
    try:
        client.api.tag(tag, repository, version or "latest")
        # An error of the registry is not raised by the call: it is in the stream.
        for event in client.api.push(repository, version or "latest", stream=True, decode=True):
            if "error" in event:
                raise PushFailed(str(event["error"]))
            digest = (event.get("aux") or {}).get("Digest", digest)
        if not digest:
            raise PushFailed("the registry did not return the digest")
    except (PushFailed, *UNREACHABLE) as error:
        if name != tag:
            # The name would claim something that is in no registry.
            _remove(client, name)
        raise Indeterminate(f"{name} could not be pushed: {redact(str(error)).strip()}") from error
    return f"{repository}@{digest}"
