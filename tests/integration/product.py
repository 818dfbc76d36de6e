"""Run the product as a user does, `python -m matrix` in a separate process, and inspect what it leaves on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from tables import ROOT

from matrix.packages.lock import read_locks

_PATIENCE_SECONDS = 240
_READ_THE_STORE = ("run", "status", "show", "compare", "clean", "pick", "coverage", "predict")


@dataclass(frozen=True)
class Finished:
    """The outcome of a call."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def document(self) -> dict[str, Any]:
        """Return standard output as JSON; fail unless it is one object."""
        assert self.out.startswith("{"), f"exit code {self.code}, no JSON on standard output\n{self.err}"
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document

    @property
    def cells(self) -> list[dict[str, Any]]:
        cells: list[dict[str, Any]] = self.document["cells"]
        return cells

    @property
    def jobs(self) -> tuple[int, int]:
        """Run, cached."""
        jobs = self.document["jobs"]
        return jobs["run"], jobs["cached"]


@dataclass(frozen=True)
class Project:
    """A folder with a table (and perhaps its own copy of the product) and the --state and engine its runs use."""

    folder: Path
    state: Path
    store: Path | None = None
    engine: str = "venv"
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def table(self) -> Path:
        return self.folder / "matrix.yml"

    @property
    def database(self) -> Path:
        return self.store or self.state / "matrix.db"

    def call(
        self,
        command: str,
        *arguments: str,
        env: Mapping[str, str | None] | None = None,
        patience: float = _PATIENCE_SECONDS,
    ) -> Finished:
        """Run to the end. Raises subprocess.TimeoutExpired if that takes too long."""
        started = time.monotonic()
        with self.started(command, *arguments, env=env) as process:
            out, err = process.communicate(timeout=patience)
        return Finished(process.returncode, out, err, time.monotonic() - started)

    def run(self, *arguments: str, env: Mapping[str, str | None] | None = None) -> Finished:
        return self.call("run", "--format", "json", *arguments, env=env)

    @contextlib.contextmanager
    def started(
        self, command: str, *arguments: str, env: Mapping[str, str | None] | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a call; kill it at the end of the block if it still runs."""
        store = ["--store", f"sqlite:///{self.store}"] if self.store and command in _READ_THE_STORE else []
        process = subprocess.Popen(
            [sys.executable, "-m", "matrix", command, "--state", str(self.state), *store, *arguments],
            cwd=self.folder,
            env=_variables({"MATRIX_ENGINE": self.engine, **self.env, **(env or {})}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Query the database; return nothing if there is none yet."""
        if not self.database.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
                return []  # the first driver is creating the tables

    def observed(self) -> int:
        return len(self.rows("select id from observation"))

    def jobs_of_last_run(self) -> Counter[tuple[str, str]]:
        """Return (kind, environment) of every job that the newest run executed."""
        return Counter(
            self.rows("select kind, environment from observation where run = (select max(id) from run) order by id")
        )

    def payloads(self, kind: str) -> list[dict[str, Any]]:
        """The stored observations of one kind, oldest first."""
        return [json.loads(text) for (text,) in self.rows(f"select payload from observation where kind = '{kind}'")]

    def blob(self, name: str) -> Path:
        return self.state / "blobs" / name[:2] / name[2:]

    def environment(self, name: str) -> Path:
        """Return the folder of the environment of a row's committed lock; tests that alter the row add others."""
        locked = read_locks(ROOT / "envs")[name].packages.items()
        (folder,) = (
            path
            for path, stamp in self.stamps().items()
            if stamp and stamp["environment"] == name and locked <= stamp["installed"].items()
        )
        return folder

    def remove_environment(self, name: str) -> None:
        shutil.rmtree(self.environment(name))

    def stamps(self) -> dict[Path, dict[str, Any] | None]:
        """Return every folder below envs/ with its stamp, or None if it has none."""
        found: dict[Path, dict[str, Any] | None] = {}
        for folder in (self.state / "envs").glob("*"):
            stamp = folder / "matrix-stamp.json"
            found[folder] = json.loads(stamp.read_text()) if stamp.exists() else None
        return found

    def assert_history_whole(self) -> None:
        """Check that no finding is stored twice and that every blob of an observation exists with the right content."""
        doubled = self.rows("select job, count(*) from observation where finding group by job having count(*) > 1")
        assert not doubled, f"stored twice: {doubled}"
        for (text,) in self.rows("select payload from observation"):
            for record in json.loads(text)["passes"]:
                for name in (record["log"], *record["files"].values()):
                    assert hashlib.sha256(self.blob(name).read_bytes()).hexdigest() == name

    def processes(self) -> dict[int, str]:
        """Return pid and command line of every running process that concerns this state."""
        found = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                here = [*words, process.cwd()]
                if process.status() != psutil.STATUS_ZOMBIE and any(str(self.state) in text for text in here):
                    found[process.pid] = " ".join(words)
        return found

    def end_processes(self) -> None:
        """Kill what a failed test left running."""
        for pid in self.processes():
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).kill()

    def assert_no_process_left(self, seconds: float = 10) -> None:
        """Wait some seconds: a killed process may take a moment to end."""
        wait_for(lambda: not self.processes(), "the last process to end", seconds, lambda: str(self.processes()))


def wait_for(
    condition: Callable[[], bool],
    what: str,
    seconds: float = _PATIENCE_SECONDS,
    detail: Callable[[], str] = lambda: "",
) -> None:
    """Poll until the condition holds; fails after some time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}\n{detail()}"
        time.sleep(0.05)


def _variables(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return our environment without variables that configure the product; a value of None removes one."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MATRIX_") and k != "PYTHONDONTWRITEBYTECODE"}
    return {k: v for k, v in {**kept, **changes}.items() if v is not None}
