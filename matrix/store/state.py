"""The state folder of a driver, and the lock that keeps a second driver out of it."""

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
        """Locks of variants, which are not rows of the table."""
        return self.root / "locks"

    @property
    def code(self) -> Path:
        """Copies of converter/ that include external families."""
        return self.root / "code"

    @property
    def packages(self) -> Path:
        """The files of packages of the index that are models of the table."""
        return self.root / "packages"

    @property
    def mark(self) -> str:
        """A hash that identifies this folder without revealing its path."""
        return hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:16]

    @property
    def work(self) -> Path:
        """Inboxes and outboxes of the workers; worthless once the driver has ended."""
        return self.root / "work"

    def create(self) -> None:
        """Create the folder. Raises ConfigError where that fails."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--state {self.root}: {error.strerror}; choose a writable folder") from error

    def open_store(self, url: str | None = None) -> Store:
        """Open the store at `url`, a SQLAlchemy URL, by default the SQLite file of this folder. Raises ConfigError."""
        from matrix.store import Store

        self.create()
        return Store(url or f"sqlite:///{self.database}", self.blobs)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder for one driver.

        Raises StateInUse at once, naming the other driver's pid, and ConfigError where the folder cannot be created.
        The kernel releases the lock however a driver ends, so a kill leaves nothing to clean up.
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
            # Private as a whole, so that folders inside may be writable for all, as a container's user needs.
            self.work.mkdir(mode=0o700, exist_ok=True)
            yield
        finally:
            os.close(descriptor)
