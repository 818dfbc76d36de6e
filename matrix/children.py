"""Child processes that end when nobody waits for them any more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import Process


async def communicate(process: Process) -> tuple[bytes, bytes]:
    """Wait for a process that leads a session of its own; its standard output and error, b'' for what is no pipe.

    Where this is cancelled, the process is killed with everything it started, not left behind.
    """
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    return out or b"", err or b""
