"""A pass of converter/worker.py in one of the image's two interpreters, and what it left as a record.

As in the driver, the child's report, its exit and the kernel's word about memory are taken down separately.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matrix.core.files import tail
from matrix.core.text import plain
from matrix.environments.worker_env import WORKER
from matrix.outputs.package.image.inside import memory
from matrix.store.records import Exit, PassRecord

JOB = "job"
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")


class Workers:
    """Runs passes below `scratch`, each with an inbox and an outbox of its own."""

    def __init__(self, worker: Path, scratch: Path) -> None:
        self._worker = worker
        self._scratch = scratch

    def run(self, module: str, python: str, files: Mapping[str, Path]) -> PassRecord:
        """One pass, by its module of converter/, in a fresh process on `files`, name to path; they are copied, a folder
        is moved."""
        work = module.rpartition(".")[2]
        root = self._scratch / work
        inbox, outbox = root / "inbox", root / "outbox"
        for folder in (inbox / JOB, outbox, root / "tmp"):
            folder.mkdir(parents=True)
        for name, path in files.items():
            _hand_over(path, inbox / JOB / name)
        spec = {"schema": 1, "job": JOB, "folder": JOB, "params": {}}
        (inbox / f"{JOB}.json").write_text(json.dumps(spec), encoding="utf-8")
        (inbox / "stop").touch()
        kills = memory.killed()
        started = time.monotonic()
        status = self._call([python, str(self._worker), module], inbox, outbox, root)
        seconds = time.monotonic() - started
        made = outbox / JOB
        released = (made / f"{work}.released").exists()
        log = root / "log.txt"
        log.write_text(plain(tail(made / f"{work}.log") + tail(root / "worker.log")), encoding="utf-8")
        return PassRecord(
            name=work,
            result=_result(made / f"{work}.json"),
            exit=None if released and status == 0 else _exit(status, memory.killed() > kills),
            stopped=None,
            released=released,
            seconds=round(seconds, 3),
            log=str(log),
            files={path.name: str(path) for path in made.glob("*.npz")},
        )

    def outbox(self, work: str) -> Path:
        """What the job of a pass left."""
        return self._scratch / work / "outbox" / JOB

    def _call(self, command: list[str], inbox: Path, outbox: Path, root: Path) -> int:
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        env |= {
            **WORKER,
            # TensorFlow writes functions it has rewritten to a file first, and the root may be read-only.
            "TMPDIR": str(root / "tmp"),
            "HOME": str(root / "tmp"),
            # The container's user may have no name, and there are packages that ask for it.
            "USER": "user",
            "LOGNAME": "user",
        }
        with (root / "worker.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--inbox", str(inbox), "--outbox", str(outbox), "--lifeline"],
                env=env,
                cwd=root / "tmp",
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                return process.wait()
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if process.stdin is not None:
                    process.stdin.close()


def _hand_over(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        source.rename(target)
        return
    # No link: onnx refuses weights that have more than one name, and what runs here must not reach the user's file.
    shutil.copyfile(source, target)


def _exit(status: int, oom: bool) -> Exit:
    return Exit(signal=-status, oom=oom) if status < 0 else Exit(code=status, oom=oom)


def _result(path: Path) -> dict[str, Any] | None:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) and result.get("schema") == 1 else None
