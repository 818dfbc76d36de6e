"""One pass of one job on one worker: hand it over, watch, and collect what is left afterwards.

The child is distrusted: its report, its exit status and the limits are taken down separately; nobody here decides
what they mean.
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
from typing import Any, Literal

from matrix.core import files as durable
from matrix.core.files import link_or_copy, remove_tree, tail
from matrix.core.text import plain, redact
from matrix.environments.engine import Worker
from matrix.execution.jobs import Job
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
    """The two folders a worker sees: it reads jobs from `inbox` and writes only below `outbox`.

    The worker may be another user than the driver, so its rights are spelled out; the folder around both is private.
    """

    inbox: Path
    outbox: Path

    @classmethod
    def create(cls, root: Path) -> Spool:
        spool = cls(root / "inbox", root / "outbox")
        for folder, mode in ((spool.inbox, 0o755), (spool.outbox, 0o777)):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(mode)
        return spool

    def empty(self) -> None:
        """Nothing of one job is left for the next: neither what the driver put there nor what a worker invented."""
        for folder in (self.inbox, self.outbox):
            for entry in os.scandir(folder):
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(Path(entry.path))
                else:
                    Path(entry.path).unlink(missing_ok=True)


def hand_over(spool: Spool, job: Job, work: Pass, blobs: BlobStore, carried: Path | None) -> None:
    """Put inputs and then the spec into the inbox; the spec's appearance starts the job."""
    folder = spool.inbox / job.folder
    _open_folder(folder)
    _open_folder(spool.outbox / job.folder, 0o777)
    for name, blob in job.inputs.items():
        target = folder / name
        for around in reversed(target.relative_to(folder).parents[:-1]):
            _open_folder(folder / around)
        if job.alone:
            # A user's code could write to the file, and through a link to ours.
            shutil.copyfile(blobs.local(blob), target)
        else:
            # A model is not copied for every environment.
            link_or_copy(blobs.local(blob), target)
    if carried is not None:
        # Not moved: the pass may have to be tried again.
        shutil.copytree(carried, folder / carried.name, symlinks=True, copy_function=link_or_copy)
    spec = {"schema": 1, "job": job.id, "folder": job.folder, "params": dict(job.params)}
    durable.write_bytes(spool.inbox / f"{job.folder}.json", json.dumps(spec).encode(), mode=0o644)


def _open_folder(folder: Path, mode: int = 0o755) -> None:
    """The worker may be another user, whatever the driver's umask."""
    folder.mkdir(exist_ok=True)
    folder.chmod(mode)


async def watch(
    worker: Worker, spool: Spool, job: Job, work: Pass, limits: Limits
) -> tuple[Exit | None, Literal["timeout", "memory"] | None, float]:
    """Wait until the worker has released the job, died, or was ended at a limit.

    Returns its exit (None: lives on), the limit that ended it, and the seconds taken.
    """
    started = time.monotonic()
    next_memory = started
    marker = spool.outbox / job.folder / f"{work.name}.released"
    while True:
        gone = worker.exited()
        if gone is not None:
            return gone, None, time.monotonic() - started
        if _there(marker):
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
    seconds: float,
) -> PassRecord:
    """Take results and log out of the outbox into the store."""
    folder = spool.outbox / job.folder
    # A link in the folder's place would lead out of the outbox.
    real = not folder.is_symlink() and folder.is_dir()
    log = tail(folder / f"{work.name}.log") if real else ""
    if exit_status is not None:
        log += worker.log()
    result = _result(folder / f"{work.name}.json", job) if real else None
    files = {name: blobs.take(folder / name) for name in work.leaves if real and _acceptable(folder / name)}
    return PassRecord(
        name=work.name,
        result=result,
        exit=exit_status,
        stopped=stopped,
        released=real and _there(folder / f"{work.name}.released"),
        seconds=round(seconds, 3),
        log=blobs.put(redact(plain(log)).encode()),
        files=files,
    )


def _there(path: Path) -> bool:
    """Whether a marker exists; a job may have closed its folder even to us."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _acceptable(path: Path) -> bool:
    """A plain file of sane size: what a worker leaves is not trusted to be one."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= _FILE_CAP


def _result(path: Path, job: Job) -> dict[str, Any] | None:
    if not _acceptable(path) or path.stat().st_size > _RESULT_CAP:
        return None
    return read_report(path.read_bytes(), job.id)
