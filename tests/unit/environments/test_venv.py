"""The embedded engine: when an environment is valid, and workers that are real processes."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small
from fakes import Told

from matrix.core.errors import EngineUnavailable
from matrix.environments.engine import BuildFailed, Environment
from matrix.environments.venv import VenvEngine, read_stamp
from matrix.execution.builds import Builds
from matrix.execution.job_identity import Job
from matrix.execution.lane import Lane
from matrix.execution.slots import Slots
from matrix.families.onnx_tf import OnnxTf
from matrix.judging.outcome import outcome
from matrix.packages import interpreters, uv
from matrix.packages.index import IndexSettings
from matrix.packages.interpreters import Interpreter
from matrix.store import FolderBlobs, Observation
from matrix.table.model import Limits

LOCK = small.lock("env")
SETTINGS = IndexSettings("https://index/simple", (), ("/wheels",))


class FakeUv:
    """Makes folders in place of environments. `installs` is what really arrives, `answers` what a call says."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.settings: list[IndexSettings] = []
        self.installs = {"onnx": "1.5.0"}
        self.answers: dict[str, uv.UvResult | Exception] = {}

    async def __call__(self, arguments: Sequence[str], settings: IndexSettings, cwd: Path | None = None) -> uv.UvResult:
        self.calls.append(tuple(arguments))
        self.settings.append(settings)
        answer = self.answers.get(arguments[0], uv.UvResult(True, "", ""))
        if isinstance(answer, Exception):
            raise answer
        if arguments[0] == "venv":
            (Path(arguments[-1]) / "bin").mkdir(parents=True)
            (Path(arguments[-1]) / "bin" / "python").symlink_to(sys.executable)
        elif answer.ok:
            folder = Path(arguments[arguments.index("--python") + 1]).parent.parent
            for name, version in self.installs.items():
                info = folder / "lib" / "python3.8" / "site-packages" / f"{name}-{version}.dist-info"
                info.mkdir(parents=True)
                (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        return answer


@pytest.fixture
def fake_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    fake = FakeUv()
    monkeypatch.setattr(uv, "call_async", fake)
    monkeypatch.setattr(uv, "cache_folder", lambda _: tmp_path / "uv")
    monkeypatch.setattr(interpreters, "installed", lambda: {"3.8": Interpreter(Path("/usr/bin/python3.8"), "3.8.18")})
    return fake


def engine(root: Path) -> VenvEngine:
    return VenvEngine(root / "envs", SETTINGS, root / "converter")


def prepare(root: Path, lock: Any = LOCK) -> Environment:
    return asyncio.run(engine(root).prepare(lock))


def test_an_environment_is_built_from_its_lock_alone_and_stamped(tmp_path: Path, fake_uv: FakeUv) -> None:
    made = prepare(tmp_path)
    assert made.installed == {"onnx": "1.5.0"} and made.interpreter == "3.8.18"
    stamp = read_stamp(Path(made.place))
    assert stamp is not None and stamp["id"] == made.id
    (install,) = [call for call in fake_uv.calls if call[:2] == ("pip", "install")]
    assert {"--no-deps", "--require-hashes"} <= set(install)
    assert install[install.index("--exclude-newer") + 1] == "2022-02-16T00:00:00Z"


def test_what_its_workers_compiled_is_there_when_it_is_built_again(tmp_path: Path, fake_uv: FakeUv) -> None:
    first = prepare(tmp_path)
    name = Path("lib/python3.8/site-packages/onnx/__pycache__/checker.cpython-38.pyc")
    (first.place / name).parent.mkdir(parents=True)
    (first.place / name).write_bytes(b"compiled")
    engine(tmp_path).leave(first)
    engine(tmp_path).remove([first.place])
    again = prepare(tmp_path)
    assert (again.place / name).read_bytes() == b"compiled"
    # Another environment gets nothing of it.
    fake_uv.installs["six"] = "1.16.0"
    body = f"onnx==1.5.0 \\\n    {small.HASH}\nsix==1.16.0 \\\n    {small.HASH}\n"
    other = prepare(tmp_path, small.lock("env", body=body))
    assert other.id != first.id and not (other.place / name).exists()


def test_one_that_stands_is_taken(tmp_path: Path, fake_uv: FakeUv) -> None:
    first = prepare(tmp_path)
    fake_uv.calls.clear()
    assert prepare(tmp_path) == first
    assert fake_uv.calls == []
    # Its interpreter was moved away: what stands there cannot run any more.
    (Path(first.place) / "bin" / "python").unlink()
    prepare(tmp_path)
    assert fake_uv.calls != []


@pytest.mark.parametrize("damage", ["no stamp", "half a stamp", "another's stamp"])
def test_one_that_is_not_whole_is_built_again(tmp_path: Path, fake_uv: FakeUv, damage: str) -> None:
    made = prepare(tmp_path)
    stamp = Path(made.place) / "matrix-stamp.json"
    text = stamp.read_text()
    stamp.write_text({"no stamp": "", "half a stamp": text[:20], "another's stamp": text.replace(made.id, "x")}[damage])
    (Path(made.place) / "left over").touch()
    again = prepare(tmp_path)
    assert not (Path(again.place) / "left over").exists()
    assert read_stamp(Path(again.place)) is not None


def test_another_lock_is_another_environment_whatever_the_patch_release_of_python(
    tmp_path: Path, fake_uv: FakeUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = engine(tmp_path).identify(LOCK)
    assert engine(tmp_path).identify(replace(LOCK, body=LOCK.body.replace("00", "01"))) != first
    assert engine(tmp_path).identify(replace(LOCK, name="renamed")) == first
    monkeypatch.setattr(interpreters, "installed", lambda: {"3.8": Interpreter(Path("/x"), "3.8.19")})
    assert engine(tmp_path).identify(LOCK) == first


def failed(root: Path) -> BuildFailed:
    with pytest.raises(BuildFailed) as caught:
        prepare(root)
    folder = engine(root).folder(engine(root).identify(LOCK))
    assert read_stamp(folder) is None
    return caught.value


def test_what_arrived_must_be_what_was_locked(tmp_path: Path, fake_uv: FakeUv) -> None:
    fake_uv.installs = {"onnx": "1.6.0"}
    found = failed(tmp_path)
    assert (found.kind, found.reason) == ("infra", "installed-differs-from-lock")
    assert "locked 1.5.0, installed 1.6.0" in found.text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("error: Failed to fetch: https://index/x/\n  Caused by: dns error: failed to lookup address", "infra"),
        ("error: failed to write: No space left on device (os error 28)", "infra"),
        ("error: Failed to download and build `x==1`\n  cause: The build backend returned an error", "error"),
        # What nobody has described may be this machine's trouble.
        ("something nobody has described yet", "infra"),
        ("error: Too many open files (os error 24)", "infra"),
        ("uv ended with status -2", "infra"),
    ],
)
def test_how_a_build_failed(tmp_path: Path, fake_uv: FakeUv, text: str, kind: str) -> None:
    fake_uv.answers["pip"] = uv.UvResult(False, "", text)
    assert failed(tmp_path).kind == kind


def test_a_full_disk_while_building(tmp_path: Path, fake_uv: FakeUv) -> None:
    fake_uv.answers["venv"] = OSError(28, "No space left on device")
    assert failed(tmp_path).kind == "infra"


def test_no_interpreter_is_no_failure_of_the_row(tmp_path: Path, fake_uv: FakeUv) -> None:
    with pytest.raises(BuildFailed) as caught:
        engine(tmp_path).identify(replace(LOCK, python="3.6"))
    assert (caught.value.kind, caught.value.reason) == ("unavailable", "interpreter-missing")
    assert "pyenv install 3.6" in caught.value.text
    with pytest.raises(BuildFailed, match=r"uv python install 3\.12"):
        engine(tmp_path).identify(replace(LOCK, python="3.12"))


def test_wheels_pointed_out_by_the_user_reach_only_locks_made_with_them(tmp_path: Path, fake_uv: FakeUv) -> None:
    prepare(tmp_path)
    assert {settings.find_links for settings in fake_uv.settings} == {("/wheels",)}
    fake_uv.settings.clear()
    prepare(tmp_path / "other", replace(LOCK, find_links=False))
    assert {settings.find_links for settings in fake_uv.settings} == {()}


# --- uv's surroundings -----------------------------------------------------------------------------------------------


def test_nothing_of_the_user_steers_a_resolution_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_EXCLUDE_NEWER", "UV_CONSTRAINT", "PIP_INDEX_URL", "PYTHONPATH", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("UV_CACHE_DIR", "/cache")
    found = uv.variables(SETTINGS)
    assert not found.keys() & {"UV_EXCLUDE_NEWER", "UV_CONSTRAINT", "PIP_INDEX_URL", "PYTHONPATH", "VIRTUAL_ENV"}
    assert found["UV_CACHE_DIR"] == "/cache" and found["UV_DEFAULT_INDEX"] == "https://index/simple"


# --- real processes --------------------------------------------------------------------------------------------------

STAGE = """
import os, signal, sys, time

def framework():
    print("imported", flush=True)
    return None

def convert(job, packages, value):
    print("at it", flush=True)
    do = job.params["do"]
    if do == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if do == "hang":
        if not os.fork():
            time.sleep(600)
        time.sleep(600)
    if do == "memory":
        hoard = bytearray(200 * 2**20)
        hoard[::4096] = b"x" * len(hoard[::4096])
        time.sleep(600)
    if do == "exit 0":
        os._exit(0)
    if do == "sys.exit":
        sys.exit("enough")
    if do == "raise":
        raise ValueError("no")
    with open(job.made("memory.npz"), "wb") as file:
        file.write(b"numbers")
    os.makedirs(os.path.join(job.outbox, "saved"))
    job.facts["artifacts"] = ["saved-model"]
    if do == "dies later":
        class Trap:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGSEGV)
        trap = Trap()
        trap.itself = trap  # only the collector finds it, once the result is written

STAGES = (convert,)
"""

RELOAD = """
import os
import platform
def framework(): return None
def reload(job, packages, value):
    assert os.path.isdir(job.given("saved"))
    with open(job.made("reloaded.npz"), "wb") as file:
        file.write(b"numbers")
STAGES = (reload,)
"""


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    """converter/ with two stages that do what the job says, and an environment that is this Python."""
    copy = tmp_path / "converter"
    shutil.copytree(small.ROOT / "converter", copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "families" / "onnx_tf" / "convert.py").write_text(STAGE)
    (copy / "families" / "onnx_tf" / "reload.py").write_text(RELOAD)
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    return tmp_path


class Standing(VenvEngine):
    """An engine whose environment stands already."""

    async def prepare(self, lock: Any) -> Environment:
        return Environment("id", lock, self._root.parent / "env", "3.8.18", {})


def observe(workshop: Path, *deeds: str, limits: Limits) -> tuple[list[Observation], FolderBlobs]:
    blobs = FolderBlobs(workshop / "blobs")

    async def main() -> list[Observation]:
        made = Standing(workshop / "envs", SETTINGS, workshop / "converter")
        told = Told()
        builds = Builds(made, 1, told)
        lane = Lane(LOCK, made, builds, Slots(1), (), workshop / "work", blobs, limits, 1, told, lambda: False)
        passes = (OnnxTf().converts, *OnnxTf().loads[:1])
        jobs = [Job(f"{deed:-<24}x", "convert", {"do": deed}, {}, passes, family="onnx-tf") for deed in deeds]
        try:
            return list(await asyncio.wait_for(asyncio.gather(*map(lane.observe, jobs)), 30))
        finally:
            await lane.close()
            await builds.close()

    return asyncio.run(main()), blobs


def processes_of(workshop: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [line for line in found if str(workshop) in line]


def assert_no_process(workshop: Path) -> None:
    """The guard of a worker that was killed ends a moment after it (converter/lifeline.py)."""
    deadline = time.monotonic() + 10
    while (left := processes_of(workshop)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left == []


@pytest.mark.parametrize(
    ("deed", "verdict", "reason"),
    [
        ("segfault", "crash", "sigsegv"),
        ("hang", "timeout", "time-limit"),
        ("memory", "oom", "memory-limit"),
        ("exit 0", "error", "exit-without-result"),
        ("sys.exit", "error", "unrecognised"),
        ("raise", "error", "unrecognised"),
        ("dies later", "crash", "died-after-result"),
    ],
)
def test_a_worker_that_goes_wrong_costs_only_the_job_it_was_on(
    workshop: Path, deed: str, verdict: str, reason: str
) -> None:
    limits = Limits(seconds=2 if deed == "hang" else 20, memory_mb=120)
    (bad, good), blobs = observe(workshop, deed, "well", limits=limits)
    log = blobs.read(bad.passes[0].log).decode()
    found = outcome(bad, log)
    assert found is not None and (found.finding.verdict, found.finding.reason) == (verdict, reason)
    assert found.finding.stage == "convert" and "at it" in log
    ended = bad.passes[0].exit
    assert (ended is not None and ended.oom) is (deed == "memory")
    assert outcome(good, "") is None
    assert good.file("reloaded.npz") == bad.file("memory.npz") or bad.file("memory.npz") is None
    assert_no_process(workshop)


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def test_a_worker_does_not_outlive_a_driver_that_is_gone(workshop: Path) -> None:
    outbox = workshop / "outbox"
    outbox.mkdir()
    (workshop / "inbox").mkdir()
    made = Standing(workshop / "envs", SETTINGS, workshop / "converter")
    environment = Environment("id", LOCK, workshop / "env", "3.8.18", {})
    limits = Limits(seconds=60, memory_mb=500)
    worker = asyncio.run(made.start(environment, OnnxTf().converts, workshop / "inbox", outbox, limits, 1))
    assert within(10, lambda: worker.resident_mb() > 1) and worker.exited() is None
    assert worker._process.stdin is not None
    worker._process.stdin.close()  # what the kernel does for a driver that was killed
    assert within(10, lambda: worker.exited() is not None)
    ended = worker.exited()
    assert ended is not None and (ended.code == 75 or ended.signal == 9)


def test_a_worker_sees_little_of_the_drivers_surroundings(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (workshop / "inbox").mkdir()
    made = Standing(workshop / "envs", SETTINGS, workshop / "converter")
    environment = Environment("id", LOCK, workshop / "env", "3.8.18", {})

    async def look() -> dict[str, str]:
        worker = await made.start(environment, OnnxTf().converts, workshop / "inbox", workshop, Limits(), 1)
        place = Path(f"/proc/{worker._process.pid}/environ")
        try:
            # Between fork and exec a process has none.
            assert within(10, lambda: b"CUDA_VISIBLE_DEVICES" in place.read_bytes())
            text = place.read_bytes().decode()
        finally:
            await worker.kill()
        return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)

    found = asyncio.run(look())
    assert not found.keys() & {"AWS_SECRET_ACCESS_KEY", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
    assert found["CUDA_VISIBLE_DEVICES"] == "-1" and found["PATH"] == os.environ["PATH"]


def test_another_system_is_rejected_before_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = VenvEngine(tmp_path, IndexSettings(), tmp_path)
    engine.check()
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(EngineUnavailable, match="aarch64"):
        engine.check()
