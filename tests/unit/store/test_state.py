"""The state folder and its lock."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import small

from matrix.core.errors import ConfigError, StateInUse
from matrix.store.state import State

HOLD = """
import sys
from pathlib import Path
from matrix.store.state import State
with State(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_driver_gets_the_pid_of_the_first(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=small.ROOT
    )
    assert first.stdin and first.stdout
    try:
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(StateInUse, match=rf"\(pid {first.pid}\)"), state.held():
            pytest.fail("both hold it")
    finally:
        # As hard as a driver can end: the kernel gives the lock back.
        first.kill()
        first.wait()
    with state.held():
        assert (state.root / "driver.lock").read_text() == f"{os.getpid()}\n"


def test_held_again_after_it_was_given_back(tmp_path: Path) -> None:
    state = State(tmp_path)
    for _ in range(2):
        with state.held(), pytest.raises(StateInUse), state.held():
            pass


def test_what_workers_left_is_swept_and_the_rest_stays(tmp_path: Path) -> None:
    state = State(tmp_path)
    (state.work / "env" / "inbox").mkdir(parents=True)
    state.blobs.mkdir()
    with state.held():
        assert not list(state.work.iterdir()) and state.blobs.exists()
        # What is in it may have to be open to a container's user, so nobody else gets that far.
        assert state.work.stat().st_mode & 0o777 == 0o700


def test_a_state_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--state"), State(tmp_path / "file" / "state").held():
        pass
