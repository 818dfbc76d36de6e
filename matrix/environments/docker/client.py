"""Connect to a container engine and query its properties."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from matrix.core.errors import EngineUnavailable
from matrix.core.text import redact

# The errors of docker-py: its own, all of which are DockerExceptions, and those of the connection.
UNREACHABLE = (DockerException, RequestException, HTTPError, ConnectionError)

_ANSWER_SECONDS = 120
_HELP = "start one (on Debian: apt-get install docker.io), point DOCKER_HOST at one, or use --engine venv"


@dataclass(frozen=True)
class Facts:
    """Properties of an engine. `root` is its folder of images, None where that is not on this machine."""

    version: str
    podman: bool
    rootless: bool
    cgroup: str
    cpus: int
    limits_cpus: bool
    driver: str
    root: Path | None
    address: str

    @property
    def name(self) -> str:
        return f"{'Podman' if self.podman else 'Docker'} {self.version}"


def connect() -> docker.DockerClient:
    """Connect to the engine that DOCKER_HOST or the docker context names. Raises EngineUnavailable."""
    try:
        client = docker.from_env(timeout=_ANSWER_SECONDS, max_pool_size=32)
        client.ping()
    except (*UNREACHABLE, OSError) as error:
        if "Permission denied" in str(error):
            raise EngineUnavailable(
                "engine docker: this user has no permission for the engine's socket; join the group docker, "
                "or point DOCKER_HOST at a rootless engine"
            ) from error
        raise EngineUnavailable(f"engine docker: no engine answers ({_cause(error)}); {_HELP}") from error
    return client


def facts(client: docker.DockerClient) -> Facts:
    """Query the engine. Raises EngineUnavailable where it is gone, runs Windows containers, or cannot limit jobs."""
    try:
        info: dict[str, Any] = client.info()
        version: dict[str, Any] = client.version()
    except UNREACHABLE as error:
        raise EngineUnavailable(f"engine docker: the engine no longer answers ({_cause(error)}); {_HELP}") from error
    components = [str(part.get("Name", "")) for part in version.get("Components") or []]
    security = " ".join(info.get("SecurityOptions") or [])
    url = str(client.api.base_url)
    root = Path(str(info.get("DockerRootDir") or "/nowhere"))
    local = url.startswith("http+docker://local") and root.is_dir() and "Docker Desktop" not in str(info)
    if info.get("OSType", "linux") != "linux":
        raise EngineUnavailable("engine docker: it runs Windows containers; switch it to Linux containers")
    lacking = [what for what in ("MemoryLimit", "PidsLimit") if info.get(what) is False]
    if lacking:
        # It would ignore the limits silently.
        raise EngineUnavailable(
            f"engine docker: it cannot limit the resources of a job ({', '.join(lacking)} is false in `docker info`); "
            "delegate the cgroup controllers memory and pids to it, or use --engine venv"
        )
    return Facts(
        version=str(version.get("Version", "?")),
        podman=any("podman" in name.lower() for name in components),
        rootless="rootless" in security or "name=userns" in security,
        cgroup=str(info.get("CgroupVersion") or "1"),
        cpus=int(info.get("NCPU") or 1),
        limits_cpus=bool(info.get("CpuCfsQuota", True)),
        driver=str(info.get("Driver", "?")),
        root=root if local else None,
        address=redact(os.environ.get("DOCKER_HOST") or ("its usual socket" if "+docker" in url else url)),
    )


@cache
def buildkit_cli() -> str | None:
    """Return the first `docker` on PATH that builds with BuildKit, or None: docker-py has only the classic builder.

    From version 23 on the command needs its buildx component; up to 20.10 BuildKit is part of it. DOCKER_BUILDKIT=0
    selects the classic builder, as for the command itself.
    """
    if os.environ.get("DOCKER_BUILDKIT") == "0":
        return None
    seen = set()
    for folder in [*_path(), "/usr/bin", "/usr/local/bin"]:
        found = shutil.which("docker", path=folder)
        if found is None or (real := Path(found).resolve()) in seen:
            continue
        seen.add(real)
        if (
            _output(found, "buildx", "version")
            or _major(_output(found, "version", "--format", "{{.Client.Version}}")) < 23
        ):
            return found
    return None


def _path() -> list[str]:
    return [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _major(version: str) -> int:
    head = version.split(".")[0]
    return int(head) if head.isdigit() else 10**6


def explanation(error: Exception) -> str:
    """Return the engine's explanation of an error, else the error's text; redacted."""
    return redact(error.explanation if isinstance(error, APIError) and error.explanation else str(error))


def _cause(error: BaseException) -> str:
    """Return the innermost cause in a few words: docker-py wraps it four times."""
    text = str(error)
    for known, words in (
        ("No such file or directory", "its socket does not exist"),
        ("FileNotFoundError", "its socket does not exist"),
        ("Connection refused", "connection refused"),
        ("ConnectionRefusedError", "connection refused"),
        ("timed out", "no answer in time"),
    ):
        if known in text:
            return words
    return redact(text.splitlines()[0] if text else type(error).__name__)[:200]
