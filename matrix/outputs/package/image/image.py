"""The image itself: a row's environment image, the reference environment as a second tree, and the program."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

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

# The second tree, in the stage that gathers it and in the image.
_TREE_MB = 700

# A user nobody has, to see that any will do.
_SOMEBODY = "54321:54321"

_NAME = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::\d+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*(?::\w[\w.-]{0,127})?")


@dataclass(frozen=True)
class Made:
    """`onnxruntime` is the version carried, None where reference outputs have to be given; `why` says why."""

    tag: str
    size_mb: int
    onnxruntime: str | None
    why: str


def default_tag(row: str) -> str:
    """`torch-tf-matrix/<row>:latest`, in the characters that a repository's name may have."""
    return f"torch-tf-matrix/{re.sub(r'[^a-z0-9._-]+', '-', row.lower())}:latest"


def check_tag(tag: str) -> None:
    """Raises UsageError for what no engine takes as a name."""
    if not _NAME.fullmatch(tag):
        raise UsageError(f"--tag {tag}: an image's name is like my-converter:1 or registry.example/me/my-converter:1")


def check_room(engine: DockerEngine) -> None:
    """Raises Indeterminate where the engine's disk has no room for what an image adds to its environments."""
    free = Room(engine.disk()).free_mb()
    if free is not None and free < _TREE_MB + FLOOR_MEGABYTES:
        raise Indeterminate(
            f"the image may need {_TREE_MB} MB, and the engine has {free} MB free; {FLOOR_MEGABYTES} stay free. "
            "Make room: python -m matrix clean --engine docker"
        )


async def make(
    engine: DockerEngine,
    state: str,
    lock: Lock,
    reference: Lock,
    family: Family,
    tolerances: Mapping[str, tuple[float, float]],
    tag: str,
    runtime: bool,
) -> Made:
    """Build and check the image, and call it `tag`. Raises Indeterminate, with what the builder said.

    `state` is the mark of the state folder: what a killed driver leaves is found by it.
    """
    check_room(engine)
    try:
        await asyncio.to_thread(engine.ready, sorted({lock.python, reference.python}))
        environment = await engine.prepare(lock)
        second = await engine.prepare(reference)
        return await in_daemon(lambda: assemble(engine, state, environment, second, family, tolerances, tag, runtime))
    except BuildFailed as error:
        raise Indeterminate(f"{error.kind}: {error.text.strip()}") from error
    except BuildError as error:
        said = "".join(str(part.get("stream") or part.get("error") or "") for part in error.build_log)
        raise Indeterminate(f"the image could not be built: {redact(said or str(error))[-2000:].strip()}") from error
    except UNREACHABLE as error:
        raise Indeterminate(f"the engine did not do what it was asked: {redact(str(error))}") from error


def assemble(
    engine: DockerEngine,
    state: str,
    environment: Environment,
    second: Environment,
    family: Family,
    tolerances: Mapping[str, tuple[float, float]],
    tag: str,
    runtime: bool,
) -> Made:
    """The image of two environments that are there. Raises what docker-py does, and Indeterminate."""
    version = second.lock.packages[RUNTIME] if runtime else None
    why = "" if runtime else "as asked for"
    attempt = f"{names.ATTEMPTS}:{state}-{KIND}-{environment.id[:12]}"
    try:
        _build(engine, environment, second, family, tolerances, attempt, version)
        if version is not None and (trouble := _refusal(engine, state, attempt, f"import {RUNTIME}")):
            version, why = None, f"ONNX Runtime {version} does not start in this image: {trouble}"
            _remove(engine, attempt)
            _build(engine, environment, second, family, tolerances, attempt, version)
        if trouble := _refusal(engine, state, attempt, "import numpy, onnx"):
            raise Indeterminate(f"the second Python of the image does not start: {trouble}")
        image = engine.client.images.get(attempt)
        repository, version_tag = parse_repository_tag(tag)
        engine.client.api.tag(attempt, repository, version_tag or "latest")
    finally:
        _remove(engine, attempt)
        # What the builder leaves of the stage that nothing refers to.
        engine.client.images.prune(filters={"dangling": True, "label": _STAGE})
    return Made(tag, int(image.attrs["Size"]) // 2**20, version, why)


def _build(
    engine: DockerEngine,
    environment: Environment,
    second: Environment,
    family: Family,
    tolerances: Mapping[str, tuple[float, float]],
    attempt: str,
    version: str | None,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        _fill(context, _toolchain(environment, family, tolerances, version))
        # Through the library, not BuildKit's command: there is nothing to download, so neither cache nor secret.
        engine.client.images.build(
            path=str(context),
            tag=attempt,
            buildargs={
                "ENVIRONMENT": environment.place,
                "REFERENCE": second.place,
                "RUNTIME": "carried" if version else "none",
            },
            labels=_labels(environment, second, version),
            platform=PLATFORM,
            rm=True,
            forcerm=True,
        )


def _fill(context: Path, toolchain: Toolchain) -> None:
    recipe = DOCKER / "takeaway"
    for name in ("Dockerfile", "collect.sh", "python"):
        shutil.copyfile(recipe / name, context / name)
    program = context / "program"
    write_program(program)
    shutil.copyfile(recipe / "convert", program / "convert")
    (program / FILE).write_text(toolchain.text(), encoding="utf-8")
    # The container's user is not ours, whatever our own mask says.
    for path in context.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path in (context / "python", program / "convert") else 0o644)


def _toolchain(
    environment: Environment, family: Family, tolerances: Mapping[str, tuple[float, float]], version: str | None
) -> Toolchain:
    return Toolchain(
        row=environment.lock.name,
        environment=environment.id,
        lock=environment.lock.digest,
        versions={"python": environment.interpreter, **environment.installed},
        python="/opt/env/bin/python",
        reference_python="/opt/reference/python",
        onnxruntime=version,
        tolerances=dict(tolerances),
        packages=tuple(_installed(family, environment)),
        converts=family.converts.module,
        compared=asdict(family.scheme),
    )


def _installed(family: Family, environment: Environment) -> Iterator[str]:
    """The packages that name the row, as what is installed in their place is called."""
    for package in family.packages:
        names = (*family.replaces.get(package, ()), package)
        yield next((name for name in names if name in environment.installed), package)


def _labels(environment: Environment, second: Environment, version: str | None) -> dict[str, str]:
    """Beside those that are inherited from the environment's image."""
    return {
        names.LABEL: KIND,
        _REFERENCE_LOCK: second.lock.digest if version else "",
        "org.opencontainers.image.title": f"{environment.lock.name}, to take away",
    }


def _refusal(engine: DockerEngine, state: str, image: str, statement: str) -> str:
    """Why the second Python does not run a statement as anybody and without writing; '' where it does."""
    try:
        engine.client.containers.run(
            image,
            ["-c", statement],
            entrypoint="/opt/reference/python",
            user=_SOMEBODY,
            read_only=True,
            network_disabled=True,
            labels={names.LABEL: names.JOB, names.STATE: state},
            remove=True,
            stderr=True,
        )
    except ContainerError as error:
        said = error.stderr.decode(errors="replace") if isinstance(error.stderr, bytes) else str(error.stderr or error)
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return redact(lines[-1] if lines else f"exit status {error.exit_status}")[:300]
    return ""


def _remove(engine: DockerEngine, attempt: str) -> None:
    """Take the name away; the image stays if it has one of its own by then."""
    with contextlib.suppress(*UNREACHABLE):
        engine.client.images.remove(attempt)
