"""Durable files, the state folder, the stamp of an environment, and the store of blobs."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import small

from matrix.core import files as durable
from matrix.core.errors import ConfigError, StateInUse
from matrix.environments.stamp import differences, installed_in, read_stamp, write_stamp
from matrix.execution.user_files import UserFiles
from matrix.store import FolderBlobs
from matrix.store.state import State
from matrix.table.model import ModelInput, ModelSpec

# --- durable ---------------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("a much longer text than the new one")
    durable.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.write_bytes(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_are_on_disk_before_they_have_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: steps.append("sync, there" if (tmp_path / "x").exists() else "sync"))
    durable.write_bytes(tmp_path / "x", b"new")
    assert steps == ["sync", "sync, there"]  # the data, then the folder that names it


# --- state -----------------------------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from matrix.execution.user_files import UserFiles
from matrix.store.state import State
with State(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_driver_is_told_the_first_ones_pid(tmp_path: Path) -> None:
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


# --- stamp -----------------------------------------------------------------------------------------------------------


def test_a_stamp_is_read_back(tmp_path: Path) -> None:
    write_stamp(tmp_path, {"id": "x", "installed": {"onnx": "1"}})
    assert read_stamp(tmp_path) == {"schema": 1, "id": "x", "installed": {"onnx": "1"}}


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"schema": 2}', "{}"])
def test_what_is_no_stamp(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        write_stamp(tmp_path, {})
        (tmp_path / "matrix-stamp.json").write_text(content)
    assert read_stamp(tmp_path) is None


BODY = "torch==2.0+cpu \\\n    --hash=sha256:00\nnumpy==1.20.0 \\\n    --hash=sha256:00\n"


def test_installed_as_locked() -> None:
    # The same version may be written in more than one way.
    assert differences(small.lock("x", body=BODY), {"torch": "2.0+cpu", "numpy": "1.20"}) == []


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ({"torch": "2.0+cpu", "numpy": "1.20.1"}, "numpy: locked 1.20.0, installed 1.20.1"),
        ({"torch": "2.0", "numpy": "1.20.0"}, "torch: locked 2.0+cpu, installed 2.0"),
        ({"torch": "2.0+cpu"}, "numpy 1.20.0 is in the lock but not installed"),
        ({"torch": "2.0+cpu", "numpy": "1.20.0", "pip": "9"}, "pip 9 is installed but not in the lock"),
    ],
)
def test_installed_otherwise(installed: dict[str, str], said: str) -> None:
    assert differences(small.lock("x", body=BODY), installed) == [said]


def test_what_is_installed_is_read_from_the_folder(tmp_path: Path) -> None:
    info = tmp_path / "Foo_Bar-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.2\n")
    assert installed_in(tmp_path) == {"foo-bar": "1.2"}


# --- blobs -----------------------------------------------------------------------------------------------------------


def test_a_name_is_the_hash_of_the_content(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    name = blobs.put(b"content")
    assert name == hashlib.sha256(b"content").hexdigest()
    assert blobs.read(name) == b"content"


def test_equal_content_is_stored_once(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    source = tmp_path / "model.onnx"
    source.write_bytes(b"content")
    name = blobs.put(b"content")
    assert blobs.take(source) == name
    assert not source.exists()
    assert [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()] == [blobs.local(name)]


def test_take_moves_and_protects(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    source = tmp_path / "model.onnx"
    source.write_bytes(b"content")
    name = blobs.take(source)
    assert not source.exists() and blobs.read(name) == b"content"
    assert blobs.local(name).stat().st_mode & 0o222 == 0


def test_collect_removes_what_nobody_names(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    keep, drop = blobs.put(b"keep"), blobs.put(b"drop it")
    half_taken = tmp_path / "blobs" / "incoming" / "1-model.onnx"
    half_taken.parent.mkdir()
    half_taken.write_bytes(b"12345")
    assert blobs.collect({keep}) == (2, len(b"drop it") + 5)
    assert blobs.read(keep) == b"keep"
    assert not blobs.local(drop).exists() and not half_taken.exists()


def test_collect_of_nothing(tmp_path: Path) -> None:
    assert FolderBlobs(tmp_path / "none").collect(set()) == (0, 0)


# --- storing a file of the user's ------------------------------------------------------------------------------------


def test_a_file_is_stored_by_its_content_and_stays_where_it_is(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    mine = tmp_path / "mine.onnx"
    mine.write_bytes(b"a model")
    mine.chmod(0o644)
    name = blobs.put_file(mine)
    assert name == hashlib.sha256(b"a model").hexdigest() == blobs.put(b"a model")
    assert blobs.read(name) == b"a model" and blobs.local(name).stat().st_mode & 0o777 == 0o444
    # Neither taken nor linked: the user may go on writing to it.
    assert mine.read_bytes() == b"a model" and mine.stat().st_mode & 0o777 == 0o644
    mine.write_bytes(b"another")
    assert blobs.read(name) == b"a model" and blobs.put_file(mine) != name
    assert blobs.put_file(mine) == blobs.put(b"another")
    assert list((tmp_path / "blobs" / "incoming").iterdir()) == []


def test_a_link_is_stored_as_what_it_leads_to(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    (tmp_path / "real").write_bytes(b"content")
    (tmp_path / "link").symlink_to("real")
    name = blobs.put_file(tmp_path / "link")
    assert blobs.read(name) == b"content" and not blobs.local(name).is_symlink()
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").exists()


def test_a_file_that_cannot_be_read_is_not_stored(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    for place in (tmp_path / "gone", tmp_path):
        with pytest.raises(OSError, match=r"No such file|Is a directory"):
            blobs.put_file(place)
    (tmp_path / "later").write_bytes(b"x")
    assert blobs.read(blobs.put_file(tmp_path / "later")) == b"x"


def test_a_user_file_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are of gigabytes."""
    blobs = FolderBlobs(tmp_path / "blobs")
    (tmp_path / "net.pt").write_bytes(b"weights")
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read as a whole"))
    model = ModelSpec(id="mine", factory="converter.zoo.gestures:build", checkpoint="net.pt",
                      inputs=(ModelInput(name="x", shape=(1,)),))  # fmt: skip
    (given,) = UserFiles(tmp_path, blobs).of_factory(model).values()
    monkeypatch.undo()
    assert blobs.read(given) == b"weights"


def test_a_full_disk_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends, and the same command continues once there is room."""
    (tmp_path / "net.onnx").write_bytes(b"a model")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        UserFiles(tmp_path, FolderBlobs(tmp_path / "blobs")).onnx(ModelSpec(id="mine", onnx="net.onnx"))
