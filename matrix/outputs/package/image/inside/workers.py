"""A pass of converter/worker.py in one of the image's two interpreters, recorded as the driver records one.

The child's report, its exit status and the kernel's count of processes ended for memory are recorded separately.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from matrix.core.files import tail
from matrix.core.text import plain
from matrix.environments.worker_client import WORKER, WorkerJob, worker_variables
from matrix.store.records import Exit, PassRecord

_GROUP = Path("/sys/fs/cgroup")
_UNLIMITED_MB = 2**40


class Workers:
    """Runs passes below `scratch`, each in a fresh process with its own folders; `jobs` are those run, by pass."""

    def __init__(self, worker: Path, scratch: Path) -> None:
        self._worker = worker
        self._scratch = scratch
        self.jobs: dict[str, WorkerJob] = {}

    def run(self, module: str, python: str, files: Mapping[str, Path]) -> PassRecord:
        """Run one pass, named by its module of converter/, on `files`, name to path: files are copied, folders moved.

        Raises OSError.
        """
        name = module.rpartition(".")[2]
        print(f"{name} ...", file=sys.stderr, flush=True)
        root = self._scratch / name
        job = self.jobs[name] = WorkerJob(str(root))
        for place, path in files.items():
            _hand_over(path, Path(job.given) / place)
        variables = worker_variables(
            **WORKER,
            # TensorFlow writes functions it has rewritten to a file first, and the root may be read-only.
            TMPDIR=job.scratch,
            HOME=job.scratch,
            # The container's user may have no name, and there are packages that ask for it.
            USER="user",
            LOGNAME="user",
        )
        kills = kills_for_memory()
        started = time.monotonic()
        with (root / "worker.log").open("wb") as printed:
            status = job.run([python, str(self._worker), module], {}, variables, printed)
        seconds = time.monotonic() - started
        oom = kills_for_memory() > kills
        made = Path(job.made)
        log = root / "log.txt"
        log.write_text(plain(tail(made / f"{name}.log") + tail(root / "worker.log")), encoding="utf-8")
        released = job.released(name)
        ended = Exit(signal=-status, oom=oom) if status < 0 else Exit(code=status, oom=oom)
        return PassRecord(
            name=name,
            result=job.report(name),
            exit=None if released and status == 0 else ended,
            stopped=None,
            released=released,
            seconds=round(seconds, 3),
            log=str(log),
            files={path.name: str(path) for path in made.glob("*.npz")},
        )


def _hand_over(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        source.rename(target)
        return
    # No link: onnx refuses weights that have more than one name, and what runs here must not reach the user's file.
    shutil.copyfile(source, target)


def kills_for_memory(group: Path = _GROUP) -> int:
    """Return how many processes of this container the kernel ended for memory so far, 0 where it does not say; read
    from its control group, cgroup v2 or v1."""
    for name in ("memory.events", "memory/memory.oom_control"):
        for line in _text(group / name).splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill" and value.strip().isdigit():
                return int(value)
    return 0


def memory_limit_mb(group: Path = _GROUP) -> int:
    """Return the container's memory limit in MiB, 0 for none."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _text(group / name).strip()
        if text.isdigit():
            megabytes = int(text) // 2**20
            return megabytes if megabytes < _UNLIMITED_MB else 0
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
