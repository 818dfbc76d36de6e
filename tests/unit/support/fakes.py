"""An engine without environments: its workers are objects that do what the script says, at once.

They keep to the protocol of converter/worker.py: jobs are files in the inbox, results files in the outbox.
"""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import small

from matrix.core.errors import EngineUnavailable
from matrix.environments.engine import BuildFailed, Environment, Stored, identity
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell
from matrix.store.records import Exit, Observation, Pass
from matrix.table.model import Limits

PassName = str

GOOD = {
    "export": ("import", "model", "forward", "export"),
    "reference": ("import", "load", "run"),
    "convert": ("import", "load", "check", "convert", "run", "save"),
    "direct": ("import", "model", "forward", "convert", "save"),
    "forward": ("import", "model", "forward"),
    "reload": ("import", "reload"),
    "tflite": ("tflite", "invoke"),
    "inspect": ("load", "check"),
    "choose": ("load", "run"),
    "alter": ("load", "alter"),
    "expose": ("load", "run"),
    "trace": ("load", "convert", "run"),
    "coverage": ("cases",),
}


def npz(values: Any) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        member = io.BytesIO()
        np.lib.format.write_array(member, np.asarray(values, np.float32))
        archive.writestr(zipfile.ZipInfo("0/y.npy"), member.getvalue())
    return stream.getvalue()


ANSWER = npz([1.0, -2.0, 3.0, 4.0, -5.0])


@dataclass
class Deed:
    """What a worker does with one pass of one job."""

    report: Mapping[str, Any] | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    released: bool = True
    exit: Exit | None = None
    rss_mb: float = 100
    then: Callable[[Path], None] | None = None


def good(work: PassName, spec: Mapping[str, Any]) -> Deed:
    """A job that goes well; the exporter writes the opset it is asked for."""
    facts: dict[str, Any] = {"opset_written": spec["params"].get("opset", 0)} if work == "export" else {}
    if work == "convert":
        facts = {"saved": "frozen-graph", "artifacts": ["frozen-graph"]}
    files = {
        "export": {"torch.npz": ANSWER, "model.onnx": json.dumps(spec["params"], sort_keys=True).encode()},
        "reference": {"reference.npz": ANSWER, "again.npz": ANSWER},
        "forward": {"torch.npz": ANSWER, "torch-again.npz": ANSWER},
        "convert": {"memory.npz": ANSWER, "saved/graph.pb": b"graph"},
        "reload": {"reloaded.npz": ANSWER},
        "tflite": {"tflite.npz": ANSWER},
        "inspect": {"model.onnx": b"looked into"},
        "choose": {},
        "alter": {"model.onnx": json.dumps(spec["params"]).encode()},
        "expose": {"exposed.onnx": b"exposed", "exposed.npz": ANSWER},
        "trace": {"traced.npz": ANSWER},
        "coverage": {"cases.json": b"{}", "expected.npz": ANSWER, "actual.npz": ANSWER},
    }[work]
    return Deed(small.report(*GOOD[work], facts=facts), files)


Script = Callable[[PassName, Mapping[str, Any]], Deed]


class FakeWorker:
    """Looks into its inbox whenever it is asked whether it still runs."""

    def __init__(self, engine: FakeEngine, work: PassName, inbox: Path, outbox: Path) -> None:
        self.engine, self.work, self.inbox, self.outbox = engine, work, inbox, outbox
        self.killed = False
        self._exit: Exit | None = None
        self._rss_mb = 50.0
        self._taken: set[str] = set()

    def exited(self) -> Exit | None:
        if self._exit is None:
            for path in sorted(self.inbox.glob("*.json")):
                if path.name not in self._taken:
                    self._taken.add(path.name)
                    self._do(json.loads(path.read_text()))
        return self._exit

    def _do(self, spec: Mapping[str, Any]) -> None:
        given = self.inbox / spec["folder"]
        self.engine.seen.append(
            (self.work, spec["job"], sorted(p.relative_to(given).as_posix() for p in given.rglob("*")))
        )
        deed = self.engine.script(self.work, spec)
        folder = self.outbox / spec["folder"]
        for name, content in deed.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / f"{self.work}.log").write_text(f"log of {self.work}\n")
        if deed.report is not None:
            text = json.dumps({**deed.report, "job": spec["job"], "pass": self.work})
            (folder / f"{self.work}.json").write_text(text)
        if deed.then is not None:
            deed.then(folder)
        self._rss_mb, self._exit = deed.rss_mb, deed.exit
        if deed.released:
            (folder / f"{self.work}.released").touch()

    def log(self) -> str:
        return "last words\n" if self._exit is not None else ""

    def resident_mb(self) -> float:
        return self._rss_mb

    async def kill(self, oom: bool = False) -> None:
        await asyncio.sleep(0)
        self.killed = True
        if self._exit is None:
            self._exit = Exit(signal=9, oom=oom)

    def die(self, exit: Exit) -> None:
        """Die of itself, between two jobs."""
        self._exit = exit


class FakeEngine:
    """Counts what is asked of it. `broken` maps names of environments to how their build fails."""

    name = "fake"
    cage = False

    def __init__(self, root: Path, script: Script = good) -> None:
        self.root = root
        self.script = script
        self.broken: dict[str, BuildFailed] = {}
        self.missing: dict[str, BuildFailed] = {}
        self.prepared: list[str] = []
        self.workers: list[FakeWorker] = []
        self.seen: list[tuple[PassName, str, list[str]]] = []
        self.useless: EngineUnavailable | None = None
        self.start_fault: Exception | None = None
        self.build_seconds = 0.0
        self.recovered = 0
        self.shared: dict[str, str] = {}
        self.removed: list[str] = []
        self.left: list[str] = []
        self.old: set[str] = set()
        """Environments that exist."""
        self.threads: list[int] = []
        self.readied: set[str] = set()
        self.building = 0
        self.most_at_once = 0

    def check(self) -> None:
        if self.useless is not None:
            raise self.useless

    def describe(self) -> str:
        return "an engine without environments"

    def disk(self) -> Path:
        return self.root

    def recover(self) -> None:
        self.recovered += 1

    def stored(self) -> list[Stored]:
        return []

    def leave(self, environment: Environment) -> None:
        self.left.append(environment.lock.name)

    def remove(self, places: Iterable[str]) -> None:
        self.removed.extend(places)

    def ready(self, pythons: Iterable[str]) -> None:
        self.readied.update(pythons)

    def identify(self, lock: Lock) -> str:
        if lock.name in self.missing:
            raise self.missing[lock.name]
        return identity(lock, {"engine": self.name})

    def shares(self, lock: Lock) -> str:
        return self.shared.get(lock.name, "")

    async def prepare(self, lock: Lock) -> Environment:
        self.prepared.append(lock.name)
        self.building += 1
        self.most_at_once = max(self.most_at_once, self.building)
        await asyncio.sleep(self.build_seconds)
        self.building -= 1
        if lock.name in self.broken:
            raise self.broken[lock.name]
        place, python, installed = str(self.root / lock.name), f"{lock.python}.9", {"onnx": "1.5.0"}
        return Environment(self.identify(lock), lock, place, python, installed, lock.name not in self.old)

    async def start(
        self, environment: Environment, work: Pass, inbox: Path, outbox: Path, limits: Limits, threads: int
    ) -> FakeWorker:
        if self.start_fault is not None:
            raise self.start_fault
        self.threads.append(threads)
        worker = FakeWorker(self, work.name, inbox, outbox)
        self.workers.append(worker)
        return worker


class Told:
    """Events, written down."""

    def __init__(self) -> None:
        self.log: list[tuple[object, ...]] = []

    def planned(self, cells: int) -> None:
        self.log.append(("planned", cells))

    def building(self, environment: str) -> None:
        self.log.append(("building", environment))

    def built(self, environment: str, seconds: float, problem: str | None) -> None:
        self.log.append(("built", environment, problem))

    def job_started(self, kind: str, environment: str) -> None:
        self.log.append(("started", kind, environment))

    def job_ended(self, observation: Observation, cached: bool) -> None:
        self.log.append(("ended", observation.kind, observation.environment, cached))

    def cell_decided(self, cell: Cell) -> None:
        self.log.append(("decided", cell.id))

    def of(self, kind: str) -> list[tuple[object, ...]]:
        return [item[1:] for item in self.log if item[0] == kind]
