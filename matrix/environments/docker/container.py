"""A worker in a container."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

import docker

from matrix.core.text import redact
from matrix.environments.docker.client import UNREACHABLE
from matrix.environments.engine import EngineFault
from matrix.store.records import Exit

_POLL_SECONDS = 0.005
_LOG_LINES = 4000
_END_SECONDS = 30

# The last lines of output, by docker/job.sh.
_COUNTED = re.compile(r"^matrix-job: (oom|oom_kill) (\d+)\n?", re.MULTILINE)


class Container:
    """Holds the container's standard input open: when the driver dies, it is closed, and the worker ends
    (converter/lifeline.py). A thread waits for the end, because docker-py blocks."""

    def __init__(self, client: docker.DockerClient, options: dict[str, Any]) -> None:
        """Create and start it. Raises docker-py's errors, after removing the container."""
        self._api = client.api
        self._exit: Exit | None = None
        self._lost: str | None = None
        self._log = ""
        self._oom = False
        self._id: str = self._api.create_container(
            stdin_open=True,
            detach=False,
            # A job has no network, so it must not get the user's proxies and their passwords.
            use_config_proxy=False,
            **options,
        )["Id"]
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
        return 0.0  # the kernel enforces the limit

    def log(self) -> str:
        return self._log

    async def kill(self, oom: bool = False) -> None:
        self._oom = self._oom or oom
        if self._exit is None and self._lost is None:
            with contextlib.suppress(*UNREACHABLE):
                await asyncio.to_thread(self._api.kill, self._id)
        deadline = time.monotonic() + _END_SECONDS
        while self._exit is None and self._lost is None:
            if time.monotonic() > deadline:
                self._lost = f"the engine did not end a container within {_END_SECONDS} s"
            await asyncio.sleep(_POLL_SECONDS)
        await asyncio.to_thread(self._remove)

    def _wait(self) -> None:
        try:
            status = int(self._api.wait(self._id, timeout=None)["StatusCode"])
            flag = bool(self._api.inspect_container(self._id)["State"].get("OOMKilled"))
            said = self._api.logs(self._id, tail=_LOG_LINES).decode(errors="replace")
        except Exception as error:
            # An error of this thread would be reported nowhere else.
            self._lost = f"the engine was lost while a job ran: {redact(str(error))[:300]}"
            return
        counted = {name: int(count) for name, count in _COUNTED.findall(said)}
        self._log = _COUNTED.sub("", said)
        number = status - 128 if 128 < status <= 128 + signal.NSIG else None
        oom = self._oom or _for_memory(flag, counted, number)
        self._exit = Exit(signal=number, oom=oom) if number else Exit(code=status, oom=oom)

    def _remove(self) -> None:
        with contextlib.suppress(Exception):
            self._lifeline.close()
        with contextlib.suppress(*UNREACHABLE):
            self._api.remove_container(self._id, v=True, force=True)


def _for_memory(flag: bool, counted: Mapping[str, int], number: int | None) -> bool:
    """Return whether a container ended because it exceeded its memory limit.

    `flag` is the engine's, which Podman never sets and Docker sets a moment late. `counted` is the kernel's, printed by
    job.sh: `oom_kill` processes killed, and with cgroup v2 the container's limit reached `oom` times: 0 where the whole
    machine ran out of memory, which is not a finding about the job.
    """
    if counted.get("oom") == 0:
        return False
    return flag or (number == signal.SIGKILL and counted.get("oom_kill", 0) > 0)
