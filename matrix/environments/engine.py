"""The Engine protocol: build an isolated environment from a lock, and start workers in it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from matrix.packages.lock import Lock
from matrix.store.records import Exit, Pass
from matrix.table.model import Limits


@dataclass(frozen=True)
class Environment:
    """A built environment. `id` is its identity, `place` its folder or image, `installed` the versions read back after
    the build; `new` is whether it was built just now."""

    id: str
    lock: Lock
    place: str
    interpreter: str
    installed: Mapping[str, str]
    new: bool = field(default=False, compare=False)


class BuildFailed(Exception):
    """An environment could not be built: a finding about the toolchain only where `kind` is `error`."""

    def __init__(self, kind: Literal["infra", "unavailable", "error"], reason: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.reason = reason
        self.text = text


class EngineFault(Exception):
    """The engine did not start a worker, or was lost while it ran. Not a finding about the job."""

    def __init__(self, reason: Literal["engine-error", "engine-lost"], text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True)
class Stored:
    """An environment on disk. `id` is its identity, `environment` the name of its lock when it was built.

    `parts` maps its parts to bytes: environments that share a layer share a part. `whole` False: its build never ended.
    """

    id: str
    environment: str
    place: str
    parts: Mapping[str, int]
    made: dt.datetime
    whole: bool


class Worker(Protocol):
    """A process or container that runs the jobs of one pass."""

    def exited(self) -> Exit | None:
        """Return how it ended, None while it runs. Raises EngineFault."""
        ...

    def resident_mb(self) -> float:
        """Return the resident memory of the worker and its children in megabytes, 0 where the engine limits memory."""
        ...

    def log(self) -> str:
        """Return the end of its output outside of jobs, once it has exited."""
        ...

    async def kill(self, oom: bool = False) -> None:
        """Kill it with all its children. `oom`: because it exceeded the memory limit."""
        ...


class Engine(Protocol):
    """Builds environments and starts workers."""

    name: str
    cage: bool
    """Whether code in its environments is sandboxed."""

    def check(self) -> None:
        """Raise EngineUnavailable, with advice, where this engine does not work on this machine."""
        ...

    def describe(self) -> str:
        """Describe it in a few words."""
        ...

    def disk(self) -> Path | None:
        """Return a folder on the file system of its environments, None where that is on another machine."""
        ...

    def recover(self) -> None:
        """Remove unfinished builds and running workers that a killed driver of the same state folder left."""
        ...

    def ready(self, pythons: Iterable[str]) -> None:
        """Fetch what `identify` needs for these Pythons; failures are left for `identify` to report."""
        ...

    def identify(self, lock: Lock) -> str:
        """Return the identity of the environment that this engine builds from a lock. Raises BuildFailed."""
        ...

    def shares(self, lock: Lock) -> str:
        """Return a key for what a lock's environment shares with others, which is built once for all of equal keys;
        '' where nothing is shared."""
        ...

    async def prepare(self, lock: Lock) -> Environment:
        """Build the environment, unless a complete one exists. Raises BuildFailed."""
        ...

    async def start(
        self, environment: Environment, work: Pass, inbox: Path, outbox: Path, limits: Limits, threads: int
    ) -> Worker:
        """Start a worker on an inbox and an outbox; its frameworks use so many threads. Raises EngineFault."""
        ...

    def leave(self, environment: Environment) -> None:
        """Prepare the next build of an environment that was built just now, after its last job."""
        ...

    def stored(self) -> list[Stored]:
        """Return every environment of ours that this engine has. Raises EngineUnavailable."""
        ...

    def remove(self, places: Iterable[str]) -> None:
        """Remove environments from disk."""
        ...


def identity(lock: Lock, recipe: Mapping[str, str]) -> str:
    """Return the identity of an environment: a hash of its lock and recipe."""
    text = json.dumps({"lock": lock.digest, "recipe": dict(recipe)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
