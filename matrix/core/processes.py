"""Child processes that are killed when the call that waits for them is cancelled, and the processors they share."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path


def available_cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


async def run(
    *command: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, stderr: int = subprocess.PIPE
) -> tuple[int, bytes, bytes]:
    """Run a command without input; return exit status, standard output and error (b'' where redirected elsewhere).

    It runs in a new session, so that Ctrl-C goes to the driver only. Cancelling kills it with all its children. Raises
    OSError where it cannot be started.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    )
    try:
        # Cancelled during the start, asyncio would kill the command, but not its children.
        process = await asyncio.shield(starting)
        out, err = await process.communicate()
    except asyncio.CancelledError:
        await _kill(await starting)
        raise
    assert process.returncode is not None
    return process.returncode, out or b"", err or b""


async def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
