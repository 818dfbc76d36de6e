"""Child processes that end when nobody waits for them any more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path


async def run(
    *command: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, stderr: int = subprocess.PIPE
) -> tuple[int, bytes, bytes]:
    """Run a command without input; return its exit status, standard output and error, b'' for what is no pipe.

    It leads a session of its own: Ctrl-C belongs to the driver alone. Where this is cancelled, the command is killed
    with everything it started, not left behind.

    Raises:
        OSError: the command cannot be started.
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
        # Cancelled half way, asyncio would kill the command but not what it has started meanwhile.
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
