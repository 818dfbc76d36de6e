"""A job's container as its engine tells of it, and a builder's output: no engine is needed for that."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, NotFound
from requests.exceptions import ConnectionError, ReadTimeout

from matrix.environments.docker.builders import BuildKit, ImageNotBuilt
from matrix.environments.docker.container import Container
from matrix.environments.engine import EngineFault
from matrix.store.records import Exit


class FakeApi:
    """docker-py's low-level client for one container, which ends when it is told to, or when it is killed."""

    def __init__(self, status: int = 0, oom: bool = False, log: str = "", fault: Exception | None = None) -> None:
        self.status, self.oom, self.text, self.fault = status, oom, log, fault
        self.start_fault: Exception | None = None
        self.over = threading.Event()
        self.calls: list[str] = []
        self.options: dict[str, Any] = {}

    def create_container(self, **options: Any) -> dict[str, str]:
        self.calls.append("create")
        self.options = options
        return {"Id": "one"}

    def attach_socket(self, name: str, params: dict[str, int]) -> Any:
        self.calls.append("attach")
        assert name == "one" and params == {"stdin": 1, "stream": 1}
        return SimpleNamespace(close=lambda: self.calls.append("let go"))

    def start(self, name: str) -> None:
        self.calls.append("start")
        if self.start_fault is not None:
            raise self.start_fault

    def wait(self, name: str, timeout: float | None) -> dict[str, int]:
        assert self.over.wait(10)
        if self.fault is not None:
            raise self.fault
        return {"StatusCode": self.status}

    def inspect_container(self, name: str) -> dict[str, Any]:
        return {"State": {"OOMKilled": self.oom}}

    def logs(self, name: str, tail: int) -> bytes:
        return self.text.encode()

    def kill(self, name: str) -> None:
        self.calls.append("kill")
        self.status = 137
        self.over.set()

    def remove_container(self, name: str, v: bool, force: bool) -> None:
        assert v and force
        self.calls.append("remove")
        raise NotFound("gone already")


def started(api: FakeApi) -> Container:
    return Container(SimpleNamespace(api=api), {"image": "x"})


def ended(api: FakeApi) -> Container:
    container = started(api)
    api.over.set()
    wait(lambda: container._exit is not None or container._lost is not None)
    return container


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


ENDS = {
    "a good end": (0, False, "", Exit(code=0)),
    "a status": (3, False, "", Exit(code=3)),
    "its driver was gone": (75, False, "", Exit(code=75)),
    "a segmentation fault": (139, False, "", Exit(signal=11)),
    "abort": (134, False, "", Exit(signal=6)),
    "killed, nobody knows why": (137, False, "", Exit(signal=9)),
    "out of memory as Docker says": (137, True, "", Exit(signal=9, oom=True)),
    "a child out of memory": (0, True, "", Exit(code=0, oom=True)),
    "out of memory as job.sh says": (137, False, "matrix-job: oom_kill 1\n", Exit(signal=9, oom=True)),
    "nothing was ended for memory": (137, False, "matrix-job: oom_kill 0\n", Exit(signal=9)),
    "the machine ran short, not the cage": (
        137, True, "matrix-job: oom 0\nmatrix-job: oom_kill 1\n", Exit(signal=9)),
    "the cage ran short": (137, False, "matrix-job: oom 2\nmatrix-job: oom_kill 1\n", Exit(signal=9, oom=True)),
    "a status that is no signal": (255, False, "", Exit(code=255)),
}  # fmt: skip


@pytest.mark.parametrize(("status", "flag", "log", "found"), ENDS.values(), ids=ENDS.keys())
def test_how_it_ended(status: int, flag: bool, log: str, found: Exit) -> None:
    container = ended(FakeApi(status, flag, f"Fatal Python error\n{log}"))
    assert container.exited() == found
    assert container.log() == "Fatal Python error\n", "what job.sh says is no part of the job's log"


def test_while_it_runs_it_has_not_ended_and_then_it_is_removed() -> None:
    api = FakeApi()
    container = started(api)
    assert container.exited() is None
    assert api.calls == ["create", "attach", "start"], "attached first: it must not run without its lifeline"
    assert api.options["stdin_open"] is True
    asyncio.run(container.kill())
    assert container.exited() == Exit(signal=9)
    assert api.calls[3:] == ["kill", "let go", "remove"]


def test_ended_at_the_limit_of_memory() -> None:
    api = FakeApi()
    container = started(api)
    asyncio.run(container.kill(oom=True))
    assert container.exited() == Exit(signal=9, oom=True)


def test_what_has_ended_is_not_killed_but_removed() -> None:
    api = FakeApi(status=3)
    container = ended(api)
    asyncio.run(container.kill())
    assert container.exited() == Exit(code=3)
    assert "kill" not in api.calls and api.calls[-1] == "remove"


@pytest.mark.parametrize("fault", [ConnectionError("refused"), ReadTimeout("late"), APIError("500"), KeyError("x")])
def test_a_lost_engine_says_nothing_about_the_job(fault: Exception) -> None:
    container = ended(FakeApi(fault=fault))
    with pytest.raises(EngineFault, match="lost while a job ran") as lost:
        container.exited()
    assert lost.value.reason == "engine-lost"
    asyncio.run(container.kill())


def test_what_cannot_be_started_leaves_nothing() -> None:
    api = FakeApi()
    api.start_fault = APIError("no such device")
    with pytest.raises(APIError):
        started(api)
    assert api.calls[-2:] == ["let go", "remove"]


# --- a builder that is a command --------------------------------------------------------------------------------------

OUTPUT = """\
#1 [internal] load build definition from Dockerfile
#1 sha256:0123
#1 DONE 0.0s

#7 [3/4] RUN sh install.sh
#7 0.412 error: Failed to fetch: `https://me:s3cret@host/simple/`
#7 12.90   cause: dns error
------
executor failed running: exit code: 2
"""


def command(folder: Path, *lines: str) -> str:
    path = folder / "docker"
    path.write_text("\n".join(("#!/bin/sh", *lines)))
    path.chmod(0o755)
    return str(path)


def build(program: str, folder: Path) -> None:
    asyncio.run(BuildKit(program).build(folder, "python:x", "name:tag", {"a": "b c"}))


def test_a_failed_build_reports_its_output_without_progress_marks_and_credentials(tmp_path: Path) -> None:
    (tmp_path / "out").write_text(OUTPUT)
    program = command(tmp_path, f'cat "{tmp_path}/out" >&2', "exit 1")
    with pytest.raises(ImageNotBuilt) as failed:
        build(program, tmp_path)
    lines = str(failed.value).splitlines()
    assert "error: Failed to fetch: `https://***@host/simple/`" in lines
    assert "  cause: dns error" in lines
    assert not any(line.startswith("#") for line in lines)


def test_a_build_that_fails_in_silence_still_says_something(tmp_path: Path) -> None:
    with pytest.raises(ImageNotBuilt, match="docker ended with status 3"):
        build(command(tmp_path, "exit 3"), tmp_path)


def test_what_the_command_is_asked(tmp_path: Path) -> None:
    build(command(tmp_path, f'printf "%s\\n" "$DOCKER_BUILDKIT" "$@" >"{tmp_path}/asked"'), tmp_path)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0] == "1"
    assert {"build", "BASE=python:x", "name:tag", "a=b c", str(tmp_path)} <= set(asked)
    assert any(word.startswith("id=index,src=") for word in asked), "what may hold credentials is a secret"


def test_a_build_that_is_given_up_is_ended_with_all_it_started(tmp_path: Path) -> None:
    program = command(tmp_path, "sleep 600 &", f'echo $! >"{tmp_path}/child"', "wait")

    async def main() -> None:
        building = asyncio.create_task(BuildKit(program).build(tmp_path, "python:x", "name:tag", {}))
        while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
            await asyncio.sleep(0.01)
        building.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await building

    asyncio.run(asyncio.wait_for(main(), 20))
    child = int((tmp_path / "child").read_text())
    wait(lambda: not alive(child))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
