"""A small table and the pieces made from it, shared by the tests of the driver."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from matrix.environments.locks.request import all_requests
from matrix.families import KNOWN
from matrix.judging.judge import Judgement
from matrix.packages.lock import Lock
from matrix.store import CellRecord, Observation, PassRecord
from matrix.store.records import Exit, JobKind, Obstacle
from matrix.table import Config, load_config
from matrix.table.model import Role

ROOT = Path(__file__).resolve().parents[3]
TABLE = ROOT / "matrix.yml"
HASH = f"--hash=sha256:{0:064}"

SMALL = """\
schema: 1
resolver:
  replace: {tensorflow: tensorflow-cpu}
  margin_days: 14
  pythons: ["3.9", "3.8"]
  wheels_only: [numpy]
companions:
  - when: {onnx-tf: ">=1.6"}
    add: {tensorflow-addons: "==0.16.1"}
    why: onnx-tf imports it
onnx:
  - {version: 1.5.0, ir: 5, opset: 10, ml_opset: 1}
  - {version: 1.10, ir: 8, opset: 15, ml_opset: 2}
torch:
  - {version: 1.2.0, released: 2019-08-08, opsets: [7, 10]}
  - {version: 1.12.1, released: 2022-08-05, opsets: [7, 16]}
  - {version: 2.13.0, released: 2026-07-08, opsets: [7, 20], dynamo: [18, 23]}
exporters:
  - {id: torch-1.2.0, pins: {torch: 1.2.0}}
  - {id: torch-1.12.1, pins: {torch: 1.12.1}}
  - id: torch-2.13.0
    pins: {torch: 2.13.0}
    via: [torchscript, dynamo]
    current: true
    builds: {cpu: {torch: 2.13.0+cpu}}
reference: {id: reference, pins: {onnxruntime: 1.17.0}}
converters:
  - {id: old, pins: {onnx-tf: 1.3.0, onnx: 1.5.0, tensorflow: 1.13.1}, python: "3.8", as_of: 2019-08-20}
  - id: new
    pins: {onnx-tf: 1.10.0, onnx: 1.10, tensorflow: 2.8.0}
models:
  - id: net
    factory: "converter.zoo.gestures:build"
    inputs: [{name: x, shape: [2, 3], range: [-2, 2]}]
    outputs: [y]
  - id: other
    factory: "converter.zoo.mobilehairnet:build"
    inputs: [{name: x, shape: [1, 4]}]
    outputs: [y]
tiers:
  quick: {about: nearest in time, rule: nearest, converters: [new]}
  documented: {about: of their time, rule: documented}
  full: {about: everything, rule: full}
  known:
    about: stated cells
    models: [net]
    cells:
      - {exporter: torch-1.2.0, opset: [9, 10], converter: old}
      - {torch: "==1.12.*", opset: "<=8", converter: "*"}
expect:
  - cells: {exporter: torch-1.2.0, opset: 9, converter: old}
    verdict: match
"""


def table(folder: Path, text: str = SMALL) -> Path:
    """The text as a table in a folder."""
    path = folder / "matrix.yml"
    path.write_text(text, encoding="utf-8")
    return path


def config(folder: Path, text: str = SMALL) -> Config:
    return load_config(table(folder, text), families=KNOWN)


def changed(old: str, new: str, text: str = SMALL) -> str:
    """The table with one place changed; the place must be there and be the only one."""
    assert text.count(old) == 1, old
    return text.replace(old, new)


def position(text: str, needle: str) -> str:
    """`line:column` of the only occurrence of a piece of text, counted as editors do."""
    assert text.count(needle) == 1, needle
    before = text[: text.index(needle)]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def lock(
    name: str,
    role: Role = "converter",
    python: str = "3.8",
    as_of: str = "2022-02-16",
    body: str = f"onnx==1.5.0 \\\n    {HASH}\n",
    **changes: Any,
) -> Lock:
    facts: dict[str, Any] = {
        "request": "0" * 64,
        "newest_pin": None,
        "resolver": "uv 0",
        "outcome": "resolved" if body else "unsatisfiable",
    }
    return Lock(name=name, role=role, python=python, as_of=dt.date.fromisoformat(as_of), body=body, **facts | changes)


def locks(table: Config) -> dict[str, Lock]:
    """A current lock for every environment of a table, as if everything had been resolved."""
    made = {}
    for request in all_requests(table):
        as_of = request.as_of or dt.date(2022, 2, 16)
        made[request.name] = lock(
            request.name,
            request.role,
            request.python or request.pythons[0],
            as_of.isoformat(),
            "".join(f"{package}=={version} \\\n    {HASH}\n" for package, version in request.pinned),
            request=request.digest,
            find_links=request.find_links,
        )
    return made


ROLES: dict[JobKind, Role] = {"export": "exporter", "reference": "reference", "convert": "converter"}


def report(
    *stages: str,
    error: Mapping[str, Any] | None = None,
    done: bool = True,
    facts: Mapping[str, Any] | None = None,
    job: str = "j",
) -> dict[str, Any]:
    """A result file of a worker (converter/results.py) that went through these stages."""
    noted = [{"stage": name, "status": "ok", "seconds": 0.1, "cpu_seconds": 0.1, "shared": False} for name in stages]
    if noted and (error or not done):
        noted[-1]["status"] = "failed" if error else "running"
    return {
        "schema": 1,
        "job": job,
        "pass": "p",
        "stages": noted,
        "error": error,
        "facts": dict(facts or {}),
        "versions": {},
        "files": [],
        "peak_rss_mb": 100.0,
        "disk_mb": 900.0,
        "done": done,
    }


def raised(message: str, kind: str = "builtins.ValueError") -> dict[str, Any]:
    """An exception as converter/failure.py describes it."""
    return {"type": kind, "mro": [kind, "builtins.Exception"], "message": message, "traceback": f"{kind}: {message}"}


def passed(
    name: str = "convert",
    result: Mapping[str, Any] | None = None,
    exit: Exit | None = None,
    stopped: Any = None,
    released: bool | None = None,
    files: Mapping[str, str] | None = None,
    log: str = "",
) -> PassRecord:
    """What one pass left; released where nothing else is said and nothing went wrong."""
    return PassRecord(
        name=name,
        result=dict(result) if result is not None else None,
        exit=exit,
        stopped=stopped,
        released=(exit is None) if released is None else released,
        seconds=1.0,
        log=log,
        files=dict(files or {}),
    )


def observation(
    kind: JobKind = "convert",
    *passes: PassRecord,
    obstacle: Obstacle | None = None,
    job: str = "j",
    seconds: float = 300,
    memory_mb: int = 6144,
    environment: str = "env",
    **changes: Any,
) -> Observation:
    return Observation(
        job=job,
        kind=kind,
        role=ROLES[kind],
        environment=environment,
        environment_id="e" * 64,
        limits_seconds=seconds,
        limits_memory_mb=memory_mb,
        passes=passes,
        obstacle=obstacle,
        family="onnx-tf" if ROLES[kind] == "converter" else "",
        **{"installed": {"onnx": "1.5.0"}, "python": "3.8.18", **changes},
    )


def cell_record(cell: str = "net/torch-1.2.0@9/old", **changes: Any) -> CellRecord:
    facts: dict[str, Any] = {
        "model": "net",
        "exporter": "torch-1.2.0",
        "torch": "1.2.0",
        "opset": 9,
        "converter": "old",
        "export": 1,
        "reference": None,
        "convert": None,
    }
    return CellRecord(cell=cell, **facts | changes)


def told(judgement: Judgement, **said: Any) -> Judgement:
    """The judgement with another finding in it: other values for some of its fields."""
    return replace(judgement, finding=replace(judgement.finding, **said))
