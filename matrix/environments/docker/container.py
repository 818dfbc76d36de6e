"""A worker in a container of its own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound

from matrix.environments.docker.client import UNREACHABLE
from matrix.environments.engine import EngineFault
from matrix.logs import tail
from matrix.redact import redact
from matrix.store.records import Exit

_POLL_SECONDS = 0.005
_LOG_LINES = 4000


class Container:
    """Holds the container's standard input open: when the driver dies, it ends, and with it the worker
    (converter/lifeline.py). Its end is waited for in a thread, because docker-py blocks."""

    def __init__(self, client: docker.DockerClient, options: dict[str, Any], outbox: Path) -> None:
        """Create and start it. Raises what docker-py raises; then nothing of it is left."""
        self._api = client.api
        self._outbox = outbox
        self._exit: Exit | None = None
        self._lost: str | None = None
        self._log = ""
        self._oom = False
        self._id: str = self._api.create_container(stdin_open=True, detach=False, **options)["Id"]
        try:
            self._lifeline: Any = self._api.attach_socket(self._id, params={"stdin": 1, "stream": 1})
            self._api.start(self._id)
        except BaseException:
            self._remove()
            raise
        threading.Thread(target=self._wait, daemon=True).start()

    def exited(self) -> Exit | None:
        if self._lost is not None:
            raise EngineFault("engine-lost", self._lost)
        return self._exit

    def resident_mb(self) -> float:
        return 0.0  # the kernel watches over the cage

    def log(self) -> str:
        return self._log

    async def kill(self, oom: bool = False) -> None:
        self._oom = self._oom or oom
        if self._exit is None and self._lost is None:
            with contextlib.suppress(*UNREACHABLE):
                await asyncio.to_thread(self._api.kill, self._id)
        while self._exit is None and self._lost is None:
            await asyncio.sleep(_POLL_SECONDS)
        await asyncio.to_thread(self._remove)

    def _wait(self) -> None:
        try:
            status = int(self._api.wait(self._id, timeout=None)["StatusCode"])
            state = self._api.inspect_container(self._id)["State"]
            self._log = self._api.logs(self._id, tail=_LOG_LINES).decode(errors="replace")
        except (*UNREACHABLE, KeyError, TypeError, ValueError) as error:
            self._lost = f"the engine was lost while a job ran: {redact(str(error))[:300]}"
            return
        number = status - 128 if 128 < status <= 128 + signal.NSIG else None
        oom = self._oom or bool(state.get("OOMKilled")) or (number == signal.SIGKILL and self._kernel_ended_some())
        self._exit = Exit(signal=number, oom=oom) if number else Exit(code=status, oom=oom)

    def _kernel_ended_some(self) -> bool:
        """What job.sh wrote down: Podman never sets its flag, Docker sets it a moment late."""
        words = tail(self._outbox / "oom").split()
        return len(words) >= 2 and words[0] == "oom_kill" and words[1] != "0"

    def _remove(self) -> None:
        with contextlib.suppress(Exception):
            self._lifeline.close()
        with contextlib.suppress(NotFound, APIError, *UNREACHABLE):
            self._api.remove_container(self._id, v=True, force=True)
