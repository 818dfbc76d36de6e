"""A project on an index whose releases have days, and on an engine whose workers fail by what is installed."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import small
from fakes import Deed, FakeEngine, FakeWorker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from test_cli import Project

from matrix.answers.drift import gather
from matrix.app import runtime as workshop
from matrix.app.project import Project as OpenProject
from matrix.core.converter_code import ConverterCode
from matrix.core.errors import MatrixError
from matrix.environments.engine import Environment
from matrix.environments.locks import live
from matrix.environments.locks.keep import LockFolders
from matrix.environments.locks.request import Request, all_requests
from matrix.packages.index import Package, UploadDates
from matrix.packages.lock import Lock
from matrix.store.state import State
from matrix.table.model import Limits

THEN = dt.date(2022, 2, 16)
NOW = dt.date(2022, 6, 10)
PROTOBUF = "Descriptors cannot not be created directly."

# A cell that is good then; the converter that has it leaves protobuf and numpy to the resolver.
CELL = "net/torch-1.12.1@8/new"
MOVED = f"{CELL}~now"


_CODE = cache(ConverterCode)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


@dataclass
class FakeIndex:
    """`released` are the uploads of packages that rows leave open, by package and version; `needed` says which of them
    a pinned package pulls in. `failing` are environments, by a part of their name, that it does not answer for.
    `asked` is everything that was asked, in order."""

    released: dict[str, dict[str, str]] = field(default_factory=dict)
    needed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    failing: dict[str, MatrixError] = field(default_factory=dict)
    pages: dict[str, Package] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)

    def resolve(self, request: Request, *_: Any, **__: Any) -> Lock:
        self.asked.append(request)
        for part, error in self.failing.items():
            if part in request.name:
                raise error
        ranges: dict[str, SpecifierSet] = {}
        for text in (*request.requirements, *request.constraints):
            wanted = Requirement(text)
            ranges[wanted.name] = ranges.get(wanted.name, SpecifierSet()) & wanted.specifier
        packages = dict(request.pinned)
        open_ = [name for pinned in packages for name in self.needed.get(pinned, ())]
        open_ += [Requirement(text).name for text in request.requirements if "==" not in text]
        missing = []
        for name in open_:
            found = self._newest(name, request.as_of or THEN, ranges.get(name, SpecifierSet()))
            if found is None:
                missing.append(name)
            else:
                packages[name] = found
        body = "".join(f"{name}=={version} \\\n    {small.HASH}\n" for name, version in sorted(packages.items()))
        return small.lock(
            request.name,
            request.role,
            request.python or request.pythons[0],
            (request.as_of or THEN).isoformat(),
            "" if missing else body,
            request=request.digest,
            find_links=request.find_links,
            explanation=f"No solution found: no {', '.join(missing)}" if missing else "",
        )

    def _newest(self, package: str, before: dt.date, within: SpecifierSet) -> str | None:
        there = [v for v, uploaded in self.released[package].items() if day(uploaded) < before and within.contains(v)]
        return max(there, key=Version, default=None)

    def dates(self, package: str) -> Mapping[Version, dt.date]:
        return {Version(v): day(uploaded) for v, uploaded in self.released.get(package, {}).items()}


@dataclass
class Fault:
    """Fails where all of this is installed."""

    where: Mapping[str, str]
    message: str = PROTOBUF
    work: str = "convert"

    def strikes(self, work: str, packages: Mapping[str, str]) -> bool:
        return work == self.work and all(
            name in packages and SpecifierSet(spec).contains(packages[name]) for name, spec in self.where.items()
        )


class AgingEngine(FakeEngine):
    """`worked` are the environments that jobs ran in, by pass and name, with what was installed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.faults: list[Fault] = []
        self.there: set[str] = set()
        self.worked: list[tuple[str, str, Mapping[str, str]]] = []

    async def prepare(self, lock: Lock) -> Environment:
        made = await super().prepare(lock)
        new = made.id not in self.there
        self.there.add(made.id)
        return replace(made, installed=dict(lock.packages), new=new)

    async def start(
        self, environment: Environment, work: str, inbox: Path, outbox: Path, limits: Limits, threads: int
    ) -> FakeWorker:
        worker = await super().start(environment, work, inbox, outbox, limits, threads)
        worker.engine = _Within(self, environment.lock)  # type: ignore[assignment]
        return worker

    def converted(self) -> list[str]:
        """Names of the environments that converted, in order."""
        return [name for work, name, _ in self.worked if work == "convert"]


@dataclass
class _Within:
    """What a worker of one environment sees of its engine."""

    engine: AgingEngine
    lock: Lock

    @property
    def seen(self) -> list[tuple[str, str, list[str]]]:
        return self.engine.seen

    def script(self, work: str, spec: Mapping[str, Any]) -> Deed:
        self.engine.worked.append((work, self.lock.name, self.lock.packages))
        for fault in self.engine.faults:
            if fault.strikes(work, self.lock.packages):
                return Deed(small.report("import", error=small.raised(fault.message, "builtins.TypeError")))
        return self.engine.script(work, spec)


class _Pages:
    """In the place of the index's pages; what it has no page of, nothing is said of."""

    def __init__(self, index: FakeIndex) -> None:
        self.index = index

    def of_all(self, packages: Sequence[str]) -> dict[str, Package]:
        return {name: page for name, page in self.index.pages.items() if name in packages}


class TimeProject(Project):
    """A project whose committed locks are what the index had then."""

    engine: AgingEngine

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.index = FakeIndex(
            released={
                "protobuf": {"3.19.4": "2022-01-28", "3.20.1": "2022-04-22", "4.21.1": "2022-05-27"},
                "numpy": {"1.21.5": "2021-12-19", "1.22.3": "2022-03-07", "1.22.4": "2022-06-02"},
                "six": {"1.12.0": "2018-12-10", "1.16.0": "2021-05-05"},
                "typing-extensions": {"4.1.1": "2022-02-13", "4.2.0": "2022-04-17"},
            },
            needed={
                "onnx-tf": ("six",),
                "tensorflow-addons": ("protobuf", "numpy"),
                "torch": ("typing-extensions",),
            },
        )
        super().__init__(root, monkeypatch, capsys)
        self.engine = AgingEngine(root)
        monkeypatch.setattr(live, "resolve", self.index.resolve)
        # It is read anew for every plan, and a search makes many.
        monkeypatch.setattr(workshop, "ConverterCode", _CODE)
        monkeypatch.setattr(UploadDates, "of", lambda _, package: self.index.dates(package))
        monkeypatch.setattr(gather, "Releases", lambda settings: _Pages(self.index))

    def write(self, text: str) -> None:
        table = small.config(self.root, text)
        folders = LockFolders(self.root / "envs", self.root / ".matrix" / "locks")
        for request in all_requests(table):
            lock = self.index.resolve(request)
            folders.write(lock, variant=False)
        self.index.asked.clear()

    def session(self) -> OpenProject:
        """What a command starts from."""
        from matrix.packages.index import IndexSettings

        return OpenProject(self.root / "matrix.yml", State(self.root / ".matrix"), IndexSettings())

    def now(self, *arguments: str, code: int = 0, tier: str = "known") -> Any:
        """`run` as of NOW; its one object."""
        if not {"now", "both"} & set(arguments):
            arguments = ("--resolution", "both", *arguments)
        if "--as-of" not in arguments:
            arguments = ("--as-of", NOW.isoformat(), *arguments)
        ended, out, err = self("run", "--tier", tier, *arguments, "--format", "json")
        assert ended == code, err
        return json.loads(out)


def verdicts(document: Mapping[str, Any]) -> dict[str, str]:
    return {cell["cell"]: cell["verdict"] for cell in document["cells"]}
