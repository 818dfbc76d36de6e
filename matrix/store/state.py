"""The folder a run leaves everything in, and the lock that keeps a second driver out of it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.core.errors import ConfigError, StateInUse
from matrix.core.files import remove_tree

if TYPE_CHECKING:
    from matrix.store import Store


@dataclass(frozen=True)
class State:
    """Paths below `--state`."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "matrix.db"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def environments(self) -> Path:
        return self.root / "envs"

    @property
    def locks(self) -> Path:
        """Locks of combinations that are no row of the table."""
        return self.root / "locks"

    @property
    def code(self) -> Path:
        """Copies of converter/ with families from outside in them."""
        return self.root / "code"

    @property
    def mark(self) -> str:
        """Which state folder this is, without saying where it lies."""
        return hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:16]

    @property
    def work(self) -> Path:
        """Inboxes and outboxes of the workers; worth nothing once the driver is gone."""
        return self.root / "work"

    def create(self) -> None:
        """Raises ConfigError where the folder cannot be made or written."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--state {self.root}: {error.strerror}; name a folder that can be written") from error

    def open_store(self, url: str | None = None) -> Store:
        """The store at `url`, a SQLAlchemy URL, or the SQLite file of this folder."""
        from matrix.store import Store

        self.create()
        return Store(url or f"sqlite:///{self.database}", self.blobs)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for one driver. Raises StateInUse at once, naming the other driver's pid.

        The kernel gives the lock back however a driver ends, so nothing needs cleaning up after a kill.
        """
        self.create()
        descriptor = os.open(self.root / "driver.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                other = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                raise StateInUse(
                    f"{self.root} is in use by another driver (pid {other}); wait for it or use another --state"
                ) from error
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            remove_tree(self.work)
            # Private as a whole, so that what a container's user must be able to write may be open to all inside.
            self.work.mkdir(mode=0o700, exist_ok=True)
            yield
        finally:
            os.close(descriptor)
