"""The venv engine: virtual environments made by uv. Packages are isolated, code is not sandboxed."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import psutil
from packaging.utils import canonicalize_name

from matrix.core.errors import EngineUnavailable
from matrix.core.files import tail, write_bytes
from matrix.environments.bytecode import BytecodeCache
from matrix.environments.engine import BuildFailed, Environment, Stored, identity
from matrix.environments.installation import check_installed, install_failed, machine_fault
from matrix.environments.worker_client import WORKER, thread_variables, worker_variables
from matrix.packages import interpreters, uv
from matrix.packages.index import IndexSettings
from matrix.packages.lock import Lock
from matrix.store.records import Exit, Pass
from matrix.table.model import Limits

# Increase it when environments built by an older version of this file must not be reused.
_RECIPE = "1"

# Address space is not memory: TensorFlow maps far more than it touches. The driver limits resident memory; the kernel's
# limit on data only stops a single huge allocation before it harms the machine.
_DATA_HEADROOM_MB = 4096

_STAMP, _STAMP_SCHEMA = "matrix-stamp.json", 1

# Below uv's cache, so that emptying that empties it too.
_BYTECODE = "torch-tf-matrix-bytecode"

# In the name of an environment that is being built; the next driver removes what a killed one left.
_UNFINISHED = ".unfinished-"

_KILL_POLL_SECONDS = 0.005


class VenvEngine:
    """Environments as folders `<root>/<id>`, valid only once stamped."""

    name = "venv"
    cage = False

    def __init__(self, root: Path, settings: IndexSettings, converter: Path) -> None:
        self._root = root
        self._settings = settings
        self._worker = converter / "worker.py"
        self._bytecode = BytecodeCache(lambda: self._uv_cache / _BYTECODE)

    @cached_property
    def _uv_cache(self) -> Path:
        return uv.cache_folder(self._settings)

    def check(self) -> None:
        """Raise EngineUnavailable where no environment could be built."""
        system = f"{platform.system()} {platform.machine()}"
        if system != "Linux x86_64":
            raise EngineUnavailable(
                f"engine venv: only Linux x86_64 is supported natively, and this is {system}; use --engine docker"
            )
        try:
            uv.binary()
        except FileNotFoundError as error:
            raise EngineUnavailable(
                "engine venv: uv is missing from this installation; install it: pip install uv"
            ) from error

    def describe(self) -> str:
        return f"virtual environments made by {uv.version()}"

    def disk(self) -> Path:
        return self._root

    def recover(self) -> None:
        for attempt in self._root.glob(f"*{_UNFINISHED}*"):
            shutil.rmtree(attempt, ignore_errors=True)

    def ready(self, pythons: Iterable[str]) -> None: ...

    def identify(self, lock: Lock) -> str:
        _interpreter(lock)
        return identity(
            lock,
            {
                "engine": self.name,
                "recipe": _RECIPE,
                # Without the patch release: the same lock has the same identity on every machine.
                "python": lock.python,
                "platform": f"{platform.system()}-{platform.machine()}".lower(),
            },
        )

    def folder(self, environment_id: str) -> Path:
        return self._root / environment_id[:20]

    def shares(self, lock: Lock) -> str:
        return ""

    async def prepare(self, lock: Lock) -> Environment:
        interpreter = _interpreter(lock)
        name = self.identify(lock)
        folder = self.folder(name)
        stamp = read_stamp(folder)
        # An interpreter that was removed leaves a dangling link.
        new = stamp is None or stamp.get("id") != name or not (folder / "bin" / "python").exists()
        if stamp is None or new:
            stamp = await self._build(lock, interpreter, folder, name)
        return Environment(name, lock, str(folder), interpreter.version, stamp["installed"], new)

    async def _build(
        self, lock: Lock, interpreter: interpreters.Interpreter, folder: Path, name: str
    ) -> dict[str, Any]:
        """Build in a temporary folder and move it to its place once complete: the uv of a killed driver may still be
        writing into a folder of its own. Returns the stamp. Raises BuildFailed."""
        started = time.monotonic()
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._root, prefix=f"{folder.name}{_UNFINISHED}") as scratch:
                attempt = Path(scratch) / "env"
                installed = await self._install(lock, interpreter, attempt)
                await asyncio.to_thread(self._bytecode.restore, folder.name, _packages(attempt, lock))
                stamp = {
                    "id": name,
                    "environment": lock.name,
                    "python": interpreter.version,
                    "installed": installed,
                    "seconds": round(time.monotonic() - started, 2),
                }
                write_stamp(attempt, stamp)
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
                attempt.rename(folder)
        except OSError as error:
            raise machine_fault(lock, error) from error
        return stamp

    async def _install(self, lock: Lock, interpreter: interpreters.Interpreter, attempt: Path) -> Mapping[str, str]:
        await self._uv(
            *("venv", "--python", str(interpreter.path), "--relocatable", "--no-project", "--quiet", str(attempt)),
            lock=lock,
        )
        requirements = attempt.parent / f"{lock.name}.txt"
        requirements.write_text(lock.body, encoding="utf-8")
        await self._uv(
            *("pip", "install", "--python", str(attempt / "bin" / "python")),
            *("--no-deps", "--require-hashes", "--quiet", "-r", str(requirements)),
            # The packages that build an old source package must be of its time too.
            *("--exclude-newer", f"{lock.as_of.isoformat()}T00:00:00Z"),
            lock=lock,
        )
        installed = installed_in(_packages(attempt, lock))
        check_installed(lock, installed)
        return installed

    async def _uv(self, *arguments: str, lock: Lock) -> None:
        settings = self._settings if lock.find_links else self._settings.without_find_links()
        outcome = await uv.call_async(arguments, settings)
        if not outcome.ok:
            raise install_failed(lock, outcome.text)

    async def start(
        self, environment: Environment, work: Pass, inbox: Path, outbox: Path, limits: Limits, threads: int
    ) -> VenvWorker:
        # TensorFlow leaves a file for every function it traces; here they are removed with the worker's folder.
        scratch = outbox.with_name("tmp")
        scratch.mkdir(exist_ok=True)
        # Not in the outbox, where the worker could replace it by a link.
        printed = outbox.with_name("worker.log")
        with printed.open("wb") as log:
            process = subprocess.Popen(
                [
                    *(str(Path(environment.place) / "bin" / "python"), str(self._worker), work.module),
                    *("--inbox", str(inbox), "--outbox", str(outbox), "--lifeline"),
                ],
                env=worker_variables(
                    **{**WORKER, **thread_variables(threads), "VIRTUAL_ENV": environment.place, "TMPDIR": str(scratch)}
                ),
                cwd=outbox,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C goes to the driver only, and a group can be killed at once.
                start_new_session=True,
            )
        ceiling = (limits.memory_mb + _DATA_HEADROOM_MB) * 2**20
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (ceiling, ceiling))
            resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
        return VenvWorker(process, printed)

    def leave(self, environment: Environment) -> None:
        folder = Path(environment.place)
        self._bytecode.keep(folder.name, _packages(folder, environment.lock))

    def stored(self) -> list[Stored]:
        found = []
        for folder in sorted(self._root.glob("*")):
            stamp = read_stamp(folder)
            made = dt.datetime.fromtimestamp(folder.stat().st_mtime, dt.UTC)
            name = str(stamp["environment"]) if stamp else folder.name
            parts = {str(folder): _size(folder)}
            found.append(Stored(str(stamp["id"]) if stamp else "", name, str(folder), parts, made, bool(stamp)))
        return found

    def remove(self, places: Iterable[str]) -> None:
        for place in places:
            shutil.rmtree(place)


class VenvWorker:
    """A worker process. Its standard input is a pipe from the driver, and it ends when the driver does."""

    def __init__(self, process: subprocess.Popen[bytes], printed: Path) -> None:
        self._process = process
        self._printed = printed
        self._oom = False

    def exited(self) -> Exit | None:
        status = self._process.poll()
        if status is None:
            return None
        return Exit(signal=-status, oom=self._oom) if status < 0 else Exit(code=status, oom=self._oom)

    def resident_mb(self) -> float:
        try:
            process = psutil.Process(self._process.pid)
            family = [process, *process.children(recursive=True)]
            return sum(_resident(member) for member in family) / 2**20
        except psutil.Error:
            return 0.0

    def log(self) -> str:
        return tail(self._printed)

    async def kill(self, oom: bool = False) -> None:
        self._oom = self._oom or oom
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        while self._process.poll() is None:
            await asyncio.sleep(_KILL_POLL_SECONDS)
        if self._process.stdin is not None:
            self._process.stdin.close()


def _packages(folder: Path, lock: Lock) -> Path:
    return folder / "lib" / f"python{lock.python}" / "site-packages"


def read_stamp(folder: Path) -> dict[str, Any] | None:
    """Return an environment's stamp, None where it is missing or unreadable: then the build never ended."""
    try:
        stamp = json.loads((folder / _STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and stamp.get("schema") == _STAMP_SCHEMA else None


def write_stamp(folder: Path, facts: Mapping[str, Any]) -> None:
    """Mark an environment as valid, once what is installed equals the lock."""
    write_bytes(folder / _STAMP, json.dumps({"schema": _STAMP_SCHEMA, **facts}, indent=1).encode())


def installed_in(site_packages: Path) -> dict[str, str]:
    """Map the normalised name of every installed distribution to its version."""
    return {
        canonicalize_name(name): found.version
        for found in distributions(path=[str(site_packages)])
        if (name := found.metadata["Name"])
    }


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _interpreter(lock: Lock) -> interpreters.Interpreter:
    found = interpreters.find(lock.python)
    if found is None:
        raise BuildFailed(
            "unavailable",
            "interpreter-missing",
            f"{lock.name} needs Python {lock.python}, which is not on this machine; "
            f"get it with: {interpreters.how_to_get(lock.python)}",
        )
    return found
