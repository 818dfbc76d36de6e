"""One pass of one job on one worker: hand it over, watch it, and collect the results.

The worker is not trusted: its report, its exit status and the limits are recorded separately, and not interpreted here.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matrix.core import files as durable
from matrix.core.files import link_or_copy, remove_tree, tail
from matrix.core.text import plain, redact
from matrix.environments.engine import Worker
from matrix.execution.job_identity import Job
from matrix.execution.worker_report import read_report
from matrix.store.blobs import BlobStore
from matrix.store.records import Exit, Pass, PassRecord
from matrix.table.model import Limits

_POLL_SECONDS = 0.02
_MEMORY_POLL_SECONDS = 0.2
_RESULT_CAP = 8 * 2**20
_FILE_CAP = 4 * 2**30


@dataclass(frozen=True)
class Spool:
    """The two folders that a worker sees: it reads jobs from `inbox` and writes only below `outbox`.

    The worker may be another user than the driver, so modes are set explicitly; the folder around both is private.
    """

    inbox: Path
    outbox: Path

    @classmethod
    def create(cls, root: Path) -> Spool:
        """Make both folders below `root`."""
        spool = cls(root / "inbox", root / "outbox")
        _open_folder(spool.inbox)
        _open_folder(spool.outbox, 0o777)
        return spool

    def empty(self) -> None:
        """Remove everything of a job before the next: the driver's files and anything that a worker left."""
        for folder in (self.inbox, self.outbox):
            for entry in os.scandir(folder):
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(Path(entry.path))
                else:
                    Path(entry.path).unlink(missing_ok=True)


def hand_over(spool: Spool, job: Job, work: Pass, blobs: BlobStore, carried: Path | None) -> None:
    """Put the inputs and then the spec into the inbox; the spec starts the job."""
    folder = spool.inbox / job.folder
    _open_folder(folder)
    _open_folder(spool.outbox / job.folder, 0o777)
    for name, blob in job.inputs.items():
        target = folder / name
        for around in reversed(target.relative_to(folder).parents[:-1]):
            _open_folder(folder / around)
        if job.alone:
            # A user's code could write to the file, and through a link to the blob.
            shutil.copyfile(blobs.local(blob), target)
        else:
            # Linked, so that models are not copied for every environment.
            link_or_copy(blobs.local(blob), target)
    if carried is not None:
        # Not moved: the pass may have to be repeated.
        shutil.copytree(carried, folder / carried.name, symlinks=True, copy_function=link_or_copy)
    spec = {"schema": 1, "job": job.id, "folder": job.folder, "params": dict(job.params)}
    durable.write_bytes(spool.inbox / f"{job.folder}.json", json.dumps(spec).encode(), mode=0o644)


def _open_folder(folder: Path, mode: int = 0o755) -> None:
    """Make a folder with this mode whatever the umask: the worker may be another user."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(mode)


async def watch(
    worker: Worker, spool: Spool, job: Job, work: Pass, limits: Limits
) -> tuple[Exit | None, Literal["timeout", "memory"] | None, float]:
    """Wait until the worker has released the job, died, or was ended at a limit.

    Returns its exit (None: it is alive), the limit at which it was ended, and the seconds taken.
    """
    started = time.monotonic()
    next_memory = started
    marker = spool.outbox / job.folder / f"{work.name}.released"
    while True:
        gone = worker.exited()
        if gone is not None:
            return gone, None, time.monotonic() - started
        if _is_file(marker):
            return None, None, time.monotonic() - started
        now = time.monotonic()
        stopped: Literal["timeout", "memory"] | None = None
        if now - started > limits.seconds:
            stopped = "timeout"
        elif now >= next_memory:
            next_memory = now + _MEMORY_POLL_SECONDS
            if worker.resident_mb() > limits.memory_mb:
                stopped = "memory"
        if stopped is not None:
            await worker.kill(oom=stopped == "memory")
            return worker.exited(), stopped, time.monotonic() - started
        await asyncio.sleep(_POLL_SECONDS)


def collect(
    spool: Spool,
    job: Job,
    work: Pass,
    blobs: BlobStore,
    worker: Worker,
    exit_status: Exit | None,
    stopped: Literal["timeout", "memory"] | None,
    began: float,
    seconds: float,
) -> PassRecord:
    """Move results and log from the outbox into the store."""
    folder = spool.outbox / job.folder
    # A link in place of the folder would lead out of the outbox.
    real = not folder.is_symlink() and folder.is_dir()
    log = tail(folder / f"{work.name}.log") if real else ""
    if exit_status is not None:
        log += worker.log()
    report = folder / f"{work.name}.json"
    result = read_report(report.read_bytes(), job.id) if real and _is_file(report, _RESULT_CAP) else None
    files = {name: blobs.take(folder / name) for name in work.leaves if real and _is_file(folder / name)}
    return PassRecord(
        name=work.name,
        result=result,
        exit=exit_status,
        stopped=stopped,
        released=real and _is_file(folder / f"{work.name}.released"),
        seconds=round(seconds, 3),
        log=blobs.put(redact(plain(log)).encode()),
        files=files,
        began=began,
    )


def _is_file(path: Path, cap: int = _FILE_CAP) -> bool:
    """Tell whether a path is a plain file of at most `cap` bytes. A worker is not trusted to leave one, and may have
    made its folder unreadable even for the driver."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= cap
