"""The two ways to have an image built: BuildKit through its command line, the classic builder through docker-py."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import docker
from docker.errors import APIError, BuildError

from matrix.environments.docker.client import UNREACHABLE
from matrix.environments.docker.context import CERTIFICATES, INDEX
from matrix.environments.docker.names import LABEL, STAGE
from matrix.redact import redact

PLATFORM = "linux/amd64"

# BuildKit's plain progress puts the step and the second in front of every line.
_STEP = re.compile(r"^#\d+ (?:\d+\.\d+ ?)?", re.MULTILINE)
_KEPT = 20_000


class ImageNotBuilt(Exception):
    """The builder's own output, without its decoration."""


class Builder(Protocol):
    name: str

    async def build(self, context: Path, base: str, tag: str, labels: Mapping[str, str]) -> None:
        """Build the context's Dockerfile on `base` and give the image a name. Raises ImageNotBuilt."""
        ...


class BuildKit:
    """Has a package cache, secrets that stay out of the image, and builds equal steps of several images once."""

    name = "BuildKit"

    def __init__(self, command: str) -> None:
        self._command = command

    async def build(self, context: Path, base: str, tag: str, labels: Mapping[str, str]) -> None:
        process = await asyncio.create_subprocess_exec(
            *_dying_with_us(),
            *(self._command, "build", "--progress", "plain", "--platform", PLATFORM, "--tag", tag),
            *("--build-arg", f"BASE={base}"),
            *("--secret", f"id=certificates,src={context / CERTIFICATES}"),
            *("--secret", f"id=index,src={context / INDEX}"),
            *(word for name, value in labels.items() for word in ("--label", f"{name}={value}")),
            str(context),
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C belongs to the driver alone.
            start_new_session=True,
        )
        try:
            out, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode != 0:
            text = _STEP.sub("", out.decode(errors="replace"))
            raise ImageNotBuilt(redact(text[-_KEPT:]) or f"{self._command} ended with status {process.returncode}")


class Classic:
    """For engines without BuildKit, such as Podman's: downloads packages for every layer that is not there yet."""

    name = "classic"

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client

    async def build(self, context: Path, base: str, tag: str, labels: Mapping[str, str]) -> None:
        # Not `to_thread`: nothing can end such a build but the end of this process, which must not wait for it.
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def work() -> None:
            try:
                self._build(context, base, tag, dict(labels))
            except BaseException as error:
                _tell(loop, done, error)
            else:
                _tell(loop, done, None)

        threading.Thread(target=work, daemon=True).start()
        await done

    def _build(self, context: Path, base: str, tag: str, labels: dict[str, str]) -> None:
        try:
            self._client.images.build(
                path=str(context),
                dockerfile="Dockerfile.classic",
                buildargs={"BASE": base},
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
        except (APIError, *UNREACHABLE) as error:
            raise ImageNotBuilt(redact(str(error))) from error
        finally:
            if b"@" in (context / INDEX).read_bytes():
                # Stages hold the index's address; one with credentials must not stay on the engine.
                self._client.images.prune(filters={"dangling": True, "label": f"{LABEL}={STAGE}"})


def _tell(loop: asyncio.AbstractEventLoop, done: asyncio.Future[None], error: BaseException | None) -> None:
    def settle() -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    # The run may be over by now.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(settle)


def _dying_with_us() -> list[str]:
    """What makes a child end with the driver, even after kill -9: a build that nobody waits for must not go on."""
    command = shutil.which("setpriv")
    return [command, "--pdeathsig", "KILL", "--"] if command else []
