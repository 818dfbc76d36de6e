"""What an engine must do: build an isolated environment from a lock and start workers in it."""

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
    """A built environment. `id` is its identity, `place` its folder or image, `installed` what was read back after
    the build; `new` says that it was not there before."""

    id: str
    lock: Lock
    place: str
    interpreter: str
    installed: Mapping[str, str]
    new: bool = field(default=False, compare=False)


class BuildFailed(Exception):
    """An environment could not be built.

    `kind` is `infra` or `unavailable` where that says nothing about the toolchain, `error` where it is a finding.
    """

    def __init__(self, kind: Literal["infra", "unavailable", "error"], reason: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.reason = reason
        self.text = text


class EngineFault(Exception):
    """The engine refused to start a worker, or went away under it, which says nothing about the job."""

    def __init__(self, reason: Literal["engine-error", "engine-lost"], text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True)
class Stored:
    """An environment that takes up disk. `id` is its identity, `environment` the name its lock had when it was built.

    `parts` maps what it consists of to bytes: environments that share a layer share a part. `whole` False: its build
    never ended.
    """

    id: str
    environment: str
    place: str
    parts: Mapping[str, int]
    made: dt.datetime
    whole: bool


class Worker(Protocol):
    """One process (or container) that works off the jobs of one pass."""

    def exited(self) -> Exit | None:
        """None while it runs. Raises EngineFault."""
        ...

    def resident_mb(self) -> float:
        """Resident memory of the worker and its children in megabytes, 0 where the engine limits by itself."""
        ...

    def log(self) -> str:
        """The end of what it printed outside of jobs, once it has exited."""
        ...

    async def kill(self, oom: bool = False) -> None:
        """End it at once, with everything it started."""
        ...


class Engine(Protocol):
    """Builds environments and starts workers; everything else is the same for all engines."""

    name: str
    cage: bool
    """Whether what runs in its environments is kept from the rest of the machine."""

    def check(self) -> None:
        """Raises EngineUnavailable with what to do, where this engine does not work on this machine."""
        ...

    def describe(self) -> str:
        """What it is, in a few words for a person."""
        ...

    def disk(self) -> Path | None:
        """A folder on the file system that environments take up, None where that is on another machine."""
        ...

    def recover(self) -> None:
        """Remove what a killed driver of the same state folder left behind: unfinished builds, running workers."""
        ...

    def ready(self, pythons: Iterable[str]) -> None:
        """Fetch what `identify` needs for these Pythons; what cannot be had is for `identify` to say."""
        ...

    def identify(self, lock: Lock) -> str:
        """Identity of the environment this engine makes of a lock. Raises BuildFailed (unavailable)."""
        ...

    def shares(self, lock: Lock) -> str:
        """What is built once for all environments that name the same here; '' where nothing is."""
        ...

    async def prepare(self, lock: Lock) -> Environment:
        """Build it, or take the one that is already there and whole. Raises BuildFailed."""
        ...

    async def start(self, environment: Environment, work: Pass, inbox: Path, outbox: Path, limits: Limits) -> Worker:
        """Start a worker on an inbox and an outbox. Raises EngineFault."""
        ...

    def stored(self) -> list[Stored]:
        """Every environment of this engine that was made by us."""
        ...

    def remove(self, places: Iterable[str]) -> None:
        """Give the disk of environments back."""
        ...


def identity(lock: Lock, recipe: Mapping[str, str]) -> str:
    """hash(lock, recipe)."""
    text = json.dumps({"lock": lock.digest, "recipe": dict(recipe)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
