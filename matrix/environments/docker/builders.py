"""The two ways to have an image built: BuildKit through its command line, the classic builder through docker-py."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import docker
from docker.errors import BuildError

from matrix.core import processes as children
from matrix.core.text import redact
from matrix.environments.docker.client import UNREACHABLE
from matrix.environments.docker.context import CERTIFICATES, INDEX
from matrix.environments.docker.names import LABEL, STAGE, STATE
from matrix.environments.docker.threads import in_daemon

PLATFORM = "linux/amd64"

# BuildKit's plain progress puts the step and the second in front of every line.
_STEP = re.compile(r"^#\d+ (?:\d+\.\d+ ?)?", re.MULTILINE)
_KEPT = 20_000


class ImageNotBuilt(Exception):
    """The builder's own output, without its decoration."""


class ImageBuilder(Protocol):
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
        # With newer versions the building is done by a plugin, a child of the command.
        status, out, _ = await children.run(
            *_dying_with_us(),
            *(self._command, "build", "--progress", "plain", "--platform", PLATFORM, "--tag", tag),
            *("--build-arg", f"BASE={base}"),
            *("--secret", f"id=certificates,src={context / CERTIFICATES}"),
            *("--secret", f"id=index,src={context / INDEX}"),
            *(word for name, value in labels.items() for word in ("--label", f"{name}={value}")),
            str(context),
            # A builder of the user's own choice may leave its image elsewhere.
            env={**{n: v for n, v in os.environ.items() if n != "BUILDX_BUILDER"}, "DOCKER_BUILDKIT": "1"},
            stderr=subprocess.STDOUT,
        )
        if status != 0:
            text = _STEP.sub("", out.decode(errors="replace"))
            raise ImageNotBuilt(redact(text[-_KEPT:]) or f"{self._command} ended with status {status}")


class Classic:
    """For engines without BuildKit, such as Podman's: downloads packages for every layer that is not there yet."""

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
                # Stages hold the index's address; one with credentials must not stay on the engine.
                with contextlib.suppress(*UNREACHABLE):
                    forget_stages(self._client, self._state)

    def _count(self, change: int) -> int:
        with self._counting:
            self._building += change
            return self._building


def forget_stages(client: docker.DockerClient, state: str) -> None:
    """Remove what the classic builder left of the stages of a state folder's images."""
    labels: Any = [f"{LABEL}={STAGE}", f"{STATE}={state}"]
    client.images.prune(filters={"dangling": True, "label": labels})


def _dying_with_us() -> list[str]:
    """What makes a child end with the driver, even after kill -9: a build that nobody waits for must not go on."""
    command = shutil.which("setpriv")
    return [command, "--pdeathsig", "KILL", "--"] if command else []
