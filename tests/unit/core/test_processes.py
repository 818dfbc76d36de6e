"""Commands that the driver starts and that nobody waits for any more."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from matrix.core import processes as children


def test_the_outcome_of_a_command() -> None:
    assert asyncio.run(children.run("sh", "-c", "echo out; echo err >&2; exit 3")) == (3, b"out\n", b"err\n")


@pytest.mark.parametrize("begun", [False, True])
def test_a_cancelled_command_takes_what_it_started_along(
    begun: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that is cancelled while it is being started."""
    exec_ = asyncio.create_subprocess_exec
    note = tmp_path / "child"

    async def slowly(*command: str, **options: Any) -> Any:
        process = await exec_(*command, **options)
        while not note.exists() or not note.read_text().endswith("\n"):
            await asyncio.sleep(0.005)
        if not begun:
            task.cancel()
            await asyncio.sleep(0)
        return process

    async def main() -> None:
        nonlocal task
        task = asyncio.create_task(children.run("sh", "-c", f'sleep 600 & echo $! >"{note}"; wait'))
        if begun:
            while not note.exists():
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    task: asyncio.Task[Any]
    monkeypatch.setattr(asyncio, "create_subprocess_exec", slowly)
    asyncio.run(asyncio.wait_for(main(), 30))
    child = int(note.read_text())
    try:
        state = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return
    if state != "Z":
        os.kill(child, signal.SIGKILL)
        pytest.fail("what the command had started goes on")
