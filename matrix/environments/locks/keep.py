"""Update locks on disk: only missing and stale ones are resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from matrix.core.errors import LockStale
from matrix.core.files import write_bytes
from matrix.environments.locks.request import Request
from matrix.packages.index import IndexSettings, UploadDates
from matrix.packages.lock import Groups, Lock, read_locks


@dataclass
class LockFolders:
    """The folders of locks: the committed ones of the table's rows, and those of variants in the state folder.
    `exclusive` is for `parse_lock`."""

    committed: Path
    variants: Path
    exclusive: Groups = ()

    def read(self, damaged: dict[str, str] | None = None) -> dict[str, Lock]:
        """Return all locks. Unreadable ones go into `damaged`, name to reason, or raise ConfigError without it."""
        folders = (self.variants, self.committed)
        return {name: lock for place in folders for name, lock in read_locks(place, damaged, self.exclusive).items()}

    def write(self, lock: Lock, variant: bool) -> Path:
        """Write a lock and return its path. Raises OSError."""
        folder = self.variants if variant else self.committed
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{lock.name}.lock"
        write_bytes(path, lock.text().encode())
        return path


def stale(requests: Iterable[Request], locks: Mapping[str, Lock]) -> list[Request]:
    """Return the requests that have no lock, or the lock of an older form of the request."""
    return [r for r in requests if r.name not in locks or locks[r.name].request != r.digest]


def refresh(
    requests: Iterable[Request],
    folders: LockFolders,
    variants: frozenset[str],
    settings: IndexSettings,
    tell: Callable[[str], None],
    allowed: bool = True,
) -> list[Lock]:
    """Resolve each request and write its lock at once, so that a later failure loses nothing.

    Raises LockStale where resolving is not `allowed`, ConfigError where a pin is not on the index, Indeterminate where
    the index cannot be reached or uv fails.
    """
    wanted = list(requests)
    if wanted and not allowed:
        names = ", ".join(r.name for r in wanted)
        raise LockStale(f"no current lock for {names}; run `python -m matrix lock` and commit the result")
    from matrix.environments.locks.resolve import resolve

    dates = UploadDates(settings)
    made = []
    for request in wanted:
        lock = resolve(request, settings, dates, tell)
        path = folders.write(lock, request.name in variants)
        detail = (
            f"{len(lock.packages)} packages" if lock.outcome == "resolved" else "no solution, recorded as a finding"
        )
        tell(f"{request.name}: {detail}, Python {lock.python}, as of {lock.as_of} -> {path}")
        made.append(lock)
    return made
