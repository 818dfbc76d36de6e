"""A store with everything that leaves a machine, and that must not: searches, blames, locks of now, reports of drift,
coverage, a model of the user's own, arrays and logs."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import small
from small import ROLES, observation, passed, raised, report

from matrix.judging.cells import Judge
from matrix.outputs.interchange.folder import Folder, writing
from matrix.outputs.interchange.incoming import Import, Taken
from matrix.outputs.interchange.outgoing import Export, ExportSelection, Sent
from matrix.outputs.privacy import ExportCleaner, Public
from matrix.store import CellRecord, Observation, Store
from matrix.store.records import Exit, JobKind, Obstacle
from matrix.table import Config

DAY = dt.datetime(2026, 1, 1, 2, 0, tzinfo=dt.UTC)
NOW = dt.date(2026, 1, 3)
HOST = {"state": "0123456789abcdef", "matrix": "0.1.0", "python": "3.11.7", "system": "Linux x86_64"}


@dataclass
class World:
    """A state folder and a table, as one machine has them."""

    root: Path
    store: Store = field(init=False)
    config: Config = field(init=False)
    moment: dt.datetime = DAY

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.config = small.config(self.root)
        self.store = Store(f"sqlite:///{self.root / 'matrix.db'}", self.root / ".matrix" / "blobs")

    # -- filling it

    def run(self, command: str = "python -m matrix run", **facts: Any) -> int:
        return self.store.begin_run("quick", "venv", command, 4, HOST, **facts)

    def arrays(self, *values: float) -> str:
        held = io.BytesIO()
        np.savez(held, **{"0/y": np.array(values, dtype=np.float32)})
        return self.store.blobs.put(held.getvalue())

    def add(self, run: int, kind: JobKind, job: str, *values: float, log: str = "", **changes: Any) -> int:
        """An observation that came to its end, with arrays of these values where its kind leaves any."""
        names: dict[JobKind, tuple[str, ...]] = {
            "export": ("torch.npz", "torch-again.npz"),
            "reference": ("reference.npz", "again.npz"),
            "convert": ("memory.npz", "reloaded.npz"),
        }
        files = {name: self.arrays(*values) for name in names[kind]}
        if kind == "export":
            files["model.onnx"] = self.store.blobs.put(f"onnx of {job}".encode())
        facts = {"opset_written": 9} if kind == "export" else {}
        loaded = {name: files.pop(name) for name in ("reloaded.npz",) if name in files}
        made = passed(
            kind, report("import", "run", facts=facts, job=job), files=files, log=self.store.blobs.put(log.encode())
        )
        passes = [made, *([passed("reload", report("import", "reload", job=job), files=loaded)] if loaded else [])]
        return self._store(run, observation(kind, *passes, job=job, **changes))

    def fails(self, run: int, job: str, message: str, log: str = "") -> int:
        """A conversion that raised."""
        stages = report("import", "load", "convert", error=raised(message), done=False, job=job)
        made = passed("convert", stages, log=self.store.blobs.put(log.encode()))
        return self._store(run, observation("convert", made, job=job))

    def dies(self, run: int, job: str) -> int:
        made = passed("convert", None, exit=Exit(signal=11), log=self.store.blobs.put(b"Segmentation fault"))
        return self._store(run, observation("convert", made, job=job))

    def unmeasured(self, run: int, job: str) -> int:
        """No finding: the disk was full."""
        text = f"no room left below {self.root}/.matrix/envs/e1"
        return self._store(run, observation("convert", obstacle=Obstacle("build", "infra", "disk-full", text), job=job))

    def covers(self, run: int) -> int:
        files = {name: self.store.blobs.put(name.encode()) for name in ("cases.json", "expected.npz", "actual.npz")}
        made = passed("coverage", report("import", "run", job="cover"), files=files)
        ROLES.setdefault("coverage", "converter")
        return self._store(run, observation("coverage", made, job="cover", environment="old"))

    def cell(self, run: int, name: str, export: int, reference: int | None, convert: int | None, **more: Any) -> None:
        model, exporter, converter = name.split("/")
        record = CellRecord(
            cell=name,
            model=model,
            exporter=exporter.partition("@")[0],
            torch="1.2.0",
            opset=9,
            converter=converter,
            export=export,
            reference=reference,
            convert=convert,
            **more,
        )
        self.store.add_cells(run, [record])

    def end(self, run: int, status: str = "complete") -> None:
        self.store.end_run(run, status, 5, 2)

    def _store(self, run: int, made: Observation) -> int:
        from matrix.judging.finding import INDETERMINATE

        self.moment += dt.timedelta(minutes=1)
        made = replace(made, created=self.moment)
        found = Judge(self.config, self.store).speak(made)
        finding = found is None or found.finding.verdict not in INDETERMINATE
        return self.store.add(run, made, finding, None)

    # -- taking it elsewhere

    @property
    def cleaner(self) -> ExportCleaner:
        return ExportCleaner(self.root / ".matrix", self.root, {run.id: run.uid for run in self.store.runs()})

    def export(self, out: Path, *include: str, **wanted: Any) -> Path:
        self.sent(out, *include, **wanted)
        return out

    def sent(self, out: Path, *include: str, **wanted: Any) -> Sent:
        public = Public((model.id for model in self.config.models), include)
        with writing(out) as written:
            return Export(self.store, self.config, public, self.cleaner, ExportSelection(**wanted)).write(written)

    def take_in(self, *folders: Path) -> Taken:
        return Import(self.store, self.cleaner).take_in([Folder(folder) for folder in folders])

    def conclusions(self, only: Iterable[str] = ("net", "other")) -> dict[tuple[str, str], Any]:
        """By run and cell all that a cell came to."""
        judge = Judge(self.config, self.store)
        found: dict[tuple[str, str], Any] = {}
        for run in self.store.runs():
            for result in judge.cells(self.store.cells(run.id), {}, run.id):
                if result.record.model not in only:
                    continue
                verdict = result.judgement
                remedied = result.remedied.record.changes if result.remedied else None
                tried = [(item.record.cell, item.finding.verdict) for item in result.tried]
                found[run.uid, result.record.cell] = (
                    (
                        verdict.finding.verdict,
                        verdict.finding.role,
                        verdict.finding.stage,
                        verdict.finding.reason,
                        verdict.metrics,
                        verdict.legs,
                    ),
                    remedied,
                    tried,
                )
        return found


OLD, NEW = "net/torch-1.2.0@9/old", "net/torch-1.2.0@9/new"
OTHER, OWN = "other/torch-1.2.0@9/new", "secret/torch-1.2.0@9/new"


def filled(root: Path) -> World:
    """Three runs."""
    world = World(root)
    state = f"{root}/.matrix"
    first = world.run("python -m matrix run --tier quick")
    exports = {name: world.add(first, "export", f"e-{name}", 1, 2) for name in ("net", "other", "secret")}
    reference = world.add(first, "reference", "r", 1, 2, log="reference")
    bad = world.fails(first, "c1", f"Descriptors cannot not be created directly ({state}/envs/e1/x.py)", log="trace")
    good = world.add(first, "convert", "c2", 1, 2, log="good")
    wrong = world.add(first, "convert", "c3", 1, 3)
    for name in (NEW, OTHER, OWN):
        world.cell(first, name, exports[name.partition("/")[0]], reference, wrong if name == OTHER else good)
    world.cell(first, OLD, exports["net"], reference, bad)
    for changes, convert in (((("add", "b"),), good), ((("add", "a"),), good), ((("ir", "c"),), bad)):
        name = f"{OLD}+{changes[0][1]}"
        world.cell(first, name, exports["net"], reference, convert, base=OLD, changes=changes)
    world.covers(first)
    world.end(first)
    second = world.run("python -m matrix run --model net.onnx --inputs secret.npz --tier full")
    world.cell(second, NEW, exports["net"], reference, good)
    world.cell(second, OLD, exports["net"], reference, world.unmeasured(second, "c1b"))
    world.cell(second, OWN, exports["secret"], reference, world.dies(second, "c9"))
    world.cell(second, "net/torch-1.2.0@9/+read", exports["net"], None, None, base="net/torch-1.2.0@9")
    world.end(second, "interrupted")
    third = world.run("python -m matrix run --resolution both", resolution="both", as_of=NOW)
    made = [small.lock("new~now", as_of="2026-01-03"), small.lock("old~now", body="", explanation="no solution")]
    world.store.resolutions.keep(third, made)
    crash = world.dies(third, "c4")
    for name, convert in ((NEW, good), (f"{NEW}~now", crash), (OTHER, wrong), (f"{OWN}~now", crash)):
        world.cell(third, name, exports[name.partition("/")[0]], reference, convert)
    world.store.keep_drift(third, drift(state))
    world.store.blames.add(third, f"{NEW}~now", {"answer": f"six did it, see {state}/envs", "run": third}, "<svg/>")
    world.store.blames.add(third, f"{OWN}~now", {"answer": "secret", "run": third}, "<svg/>")
    world.end(third)
    return world


def drift(state: str) -> dict[str, Any]:
    def verdict(cell: str) -> dict[str, Any]:
        one = {"verdict": "match", "role": None, "stage": None, "reason": None, "title": ""}
        other = {**one, "verdict": "crash"}
        blame = f"six (found in run 1) in {state}/x"
        return {"cell": cell, "before": one, "after": other, "broken": True, "mended": False, "blame": blame}

    rows = [
        {
            "row": name,
            "as_of": {"before": None, "after": "2026-01-03"},
            "first": True,
            "outcome": None,
            "explanation": "",
            "packages": {"raised": []},
            "incidents": [
                {"new": True, "kind": "yanked", "package": "six", "version": "1", "text": "t", "since": None}
            ],
            "verdicts": [verdict(f"{NEW}~now"), verdict(f"{OWN}~now")] if name == "new~now" else [],
            "unknown": [f"{OWN}~now"] if name == "old~now" else [],
        }
        for name in ("old~now", "new~now")
    ]
    return {"schema": 1, "conclusion": "drift: 0 locks of 2 changed", "rows": rows}
