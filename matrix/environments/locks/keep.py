"""Locks on disk brought up to date: only what is missing or stale is resolved again."""

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
    """Where locks lie: the committed ones of the table's rows, and those of variants in the state folder. `exclusive`
    is for `parse_lock`."""

    committed: Path
    variants: Path
    exclusive: Groups = ()

    def read(self, damaged: dict[str, str] | None = None) -> dict[str, Lock]:
        """All locks; what cannot be read goes into `damaged`, name to reason, or raises ConfigError without it."""
        folders = (self.variants, self.committed)
        return {name: lock for place in folders for name, lock in read_locks(place, damaged, self.exclusive).items()}

    def write(self, lock: Lock, variant: bool) -> Path:
        folder = self.variants if variant else self.committed
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{lock.name}.lock"
        write_bytes(path, lock.text().encode())
        return path


def stale(requests: Iterable[Request], locks: Mapping[str, Lock]) -> list[Request]:
    """Requests without a lock, or whose lock answers an older form of them."""
    return [r for r in requests if r.name not in locks or locks[r.name].request != r.digest]


def refresh(
    requests: Iterable[Request],
    folders: LockFolders,
    variants: frozenset[str],
    settings: IndexSettings,
    tell: Callable[[str], None],
    allowed: bool = True,
) -> list[Lock]:
    """Resolve each request and write its lock, one by one: an index that fails later loses nothing.

    Raises LockStale where resolving is not `allowed`, otherwise what `resolve` raises.
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
