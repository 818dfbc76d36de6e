"""Build images with BuildKit, through its command line, or with the classic builder, through docker-py."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import docker
from docker.errors import BuildError

from matrix.core import processes
from matrix.core.text import redact
from matrix.environments.docker.client import UNREACHABLE
from matrix.environments.docker.context import CERTIFICATES, INDEX
from matrix.environments.docker.names import LABEL, STAGE, STATE

PLATFORM = "linux/amd64"

Result = TypeVar("Result")

# BuildKit's plain progress puts the step and the second in front of every line.
_STEP = re.compile(r"^#\d+ (?:\d+\.\d+ ?)?", re.MULTILINE)
_KEPT = 20_000

# Where our Dockerfiles run their scripts from, and no one else's: the cache is shared by everyone who builds on this
# engine.
_OURS = "/tmp/torch-tf-matrix/"

# An engine refuses a second question about its disk while it answers one.
_ONE_AT_A_TIME = threading.Lock()


class ImageNotBuilt(Exception):
    """A build failed; the text is the builder's output, without its progress marks."""


class ImageBuilder(Protocol):
    name: str

    async def build(self, context: Path, base: str, tag: str, labels: Mapping[str, str]) -> None:
        """Build the context's Dockerfile on `base` and give the image a name. Raises ImageNotBuilt."""
        ...


class BuildKit:
    """Keeps a package cache, keeps secrets out of images, and builds a step that several images share once."""

    name = "BuildKit"

    def __init__(self, command: str) -> None:
        self._command = command

    async def build(self, context: Path, base: str, tag: str, labels: Mapping[str, str]) -> None:
        # In newer versions a plugin builds, a child of the command.
        status, out, _ = await processes.run(
            *_dying_with_us(),
            *(self._command, "build", "--progress", "plain", "--platform", PLATFORM, "--tag", tag),
            *("--build-arg", f"BASE={base}"),
            *("--secret", f"id=certificates,src={context / CERTIFICATES}"),
            *("--secret", f"id=index,src={context / INDEX}"),
            *(word for name, value in labels.items() for word in ("--label", f"{name}={value}")),
            str(context),
            # A builder that the user chose may leave its image elsewhere.
            env={**{n: v for n, v in os.environ.items() if n != "BUILDX_BUILDER"}, "DOCKER_BUILDKIT": "1"},
            stderr=subprocess.STDOUT,
        )
        if status != 0:
            text = _STEP.sub("", out.decode(errors="replace"))
            raise ImageNotBuilt(redact(text[-_KEPT:]) or f"{self._command} ended with status {status}")


class Classic:
    """Serves engines without BuildKit, such as Podman: downloads packages for every layer that is missing."""

    name = "classic"

    def __init__(self, client: docker.DockerClient, state: str) -> None:
        self._client = client
        self._state = state
        self._building = 0
        self._counting = threading.Lock()

    async def build(self, context: Path, base: str, tag: str, labels: Mapping[str, str]) -> None:
        await in_daemon(lambda: self._build(context, base, tag, dict(labels)))

    def _build(self, context: Path, base: str, tag: str, labels: dict[str, str]) -> None:
        self._count(1)
        try:
            self._client.images.build(
                path=str(context),
                dockerfile="Dockerfile.classic",
                buildargs={"BASE": base, "STATE": self._state},
                tag=tag,
                labels=labels,
                platform=PLATFORM,
                rm=True,
                forcerm=True,
                timeout=None,
            )
        except BuildError as error:
            lines = [str(part.get("stream") or part.get("error") or "") for part in error.build_log]
            raise ImageNotBuilt(redact("".join(lines)[-_KEPT:]) or str(error)) from error
        except UNREACHABLE as error:
            raise ImageNotBuilt(redact(str(error))) from error
        finally:
            if not self._count(-1) and b"@" in (context / INDEX).read_bytes():
                # Stages hold the address of the index; credentials in it must not stay on the engine.
                with contextlib.suppress(*UNREACHABLE):
                    forget_stages(self._client, self._state)

    def _count(self, change: int) -> int:
        with self._counting:
            self._building += change
            return self._building


def forget_stages(client: docker.DockerClient, state: str) -> None:
    """Remove stages that the classic builder left of a state folder's images. Raises docker-py's errors."""
    labels: Any = [f"{LABEL}={STAGE}", f"{STATE}={state}"]
    client.images.prune(filters={"dangling": True, "label": labels})


def drop_unused(client: docker.DockerClient) -> None:
    """Remove layers of ours that no image uses from BuildKit's cache; the package cache stays.

    A removed image frees no disk while a build could still use its layers. Raises docker-py's errors.
    """
    with _ONE_AT_A_TIME:
        tried: set[str] = set()
        # Only a layer that none is built on can be removed, and its parent becomes unused in turn.
        while unused := [name for name in _unused(client) if name not in tried]:
            for name in unused:
                tried.add(name)
                # The stubs know fewer filters than the engine does.
                by_id: Any = {"id": name}
                client.api.prune_builds(filters=by_id, all=True)


def _unused(client: docker.DockerClient) -> list[str]:
    records: list[dict[str, Any]] = client.df().get("BuildCache") or []
    parents = {str(record.get("Parent")) for record in records}
    return [
        str(record["ID"])
        for record in records
        if record.get("Type") == "regular"
        and _OURS in str(record.get("Description"))
        and not record.get("InUse")
        and not record.get("Shared")
        and record["ID"] not in parents
    ]


async def in_daemon(work: Callable[[], Result]) -> Result:
    """Run a blocking call in a daemon thread, like `asyncio.to_thread` for work that may take minutes.

    When this is cancelled and the process ends, the process does not wait for the thread; the engine gives up a build
    whose client is gone. Raises what `work` raises.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            _settle(loop, done, partial(done.set_exception, error))
        else:
            _settle(loop, done, partial(done.set_result, result))

    threading.Thread(target=run, daemon=True).start()
    return await done


def _settle(loop: asyncio.AbstractEventLoop, done: asyncio.Future[Any], settle: Callable[[], None]) -> None:
    # The event loop may be closed by now.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(lambda: None if done.done() else settle())


def _dying_with_us() -> list[str]:
    """Return a prefix that ends a command with the driver, even after kill -9."""
    command = shutil.which("setpriv")
    return [command, "--pdeathsig", "KILL", "--"] if command else []
