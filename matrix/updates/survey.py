"""What the table could have: releases it does not know, each as a row that was put before the resolver."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from typing import Literal

from packaging.version import Version

from matrix.config.model import Config, ConverterRow, ExporterRow, OnnxRelease, TorchRelease, Via
from matrix.errors import ConfigError, Indeterminate
from matrix.index import Package, PackageUnknown
from matrix.locks.lockfile import Lock
from matrix.locks.request import make_request
from matrix.updates.facts import ONNX_FILES, TORCH_FILES, onnx_release, torch_opsets
from matrix.updates.gist import gist
from matrix.updates.offered import Offered
from matrix.updates.releases import LeftOut, Release, news

# How many minor series of onnx a release of onnx-tf or TensorFlow is tried with, newest first.
TRIES = 6

Fact = OnnxRelease | TorchRelease
NewRow = ExporterRow | ConverterRow
Standing = Literal["lockable", "unsatisfiable", "undecided"]


@dataclass(frozen=True)
class Refusal:
    """A row that no packages fulfil, and the resolver's reason in one line.

    `until` is the day to which that may change, because what goes along with the newest pin may still come out; None
    where that day has passed.
    """

    row: NewRow
    why: str
    until: dt.date | None = None


@dataclass(frozen=True)
class Proposal:
    """What came of one new release.

    `facts` are its entry in the table's `onnx` or `torch` section. `row` is what a lock exists for (`lock`), None
    where there is none. `refused` are the rows that were tried before it, in order. `undecided` says why it cannot be
    told whether the release can be had.
    """

    package: str
    version: Version
    facts: Fact | None = None
    row: NewRow | None = None
    lock: Lock | None = None
    refused: tuple[Refusal, ...] = ()
    undecided: str = ""

    @property
    def standing(self) -> Standing:
        if self.undecided:
            return "undecided"
        return "lockable" if self.lock else "unsatisfiable"

    @property
    def until(self) -> dt.date | None:
        """The day to which an unsatisfiable release may yet become lockable."""
        days = [refusal.until for refusal in self.refused if refusal.until]
        return max(days) if days and self.lock is None else None


@dataclass(frozen=True)
class Survey:
    """`unlisted` are the packages whose releases are not known, and why."""

    as_of: dt.date
    proposals: tuple[Proposal, ...]
    left_out: tuple[LeftOut, ...]
    unlisted: tuple[tuple[str, str], ...]

    def of(self, standing: Standing) -> tuple[Proposal, ...]:
        return tuple(proposal for proposal in self.proposals if proposal.standing == standing)


def survey(config: Config, noted: Collection[tuple[str, Version]], offered: Offered, today: dt.date) -> Survey:
    """Look for what is newer than the newest of each package in the table. `noted` are releases that the table says
    it was tried without success to have; they are not tried again."""
    watch = _Watch(config, noted, offered, today)
    watch.look()
    return Survey(today, tuple(watch.proposals), tuple(watch.left), tuple(watch.unlisted))


@dataclass
class _Watch:
    config: Config
    noted: Collection[tuple[str, Version]]
    offered: Offered
    today: dt.date
    proposals: list[Proposal] = field(default_factory=list)
    left: list[LeftOut] = field(default_factory=list)
    unlisted: list[tuple[str, str]] = field(default_factory=list)

    def look(self) -> None:
        """Each package in the order in which rows build on each other: a new onnx is there for a new TensorFlow."""
        converters = [row for row in self.config.converters if row.companions]
        latest = {
            package: max(Version(row.pins[package]) for row in converters) for package in ("onnx-tf", "tensorflow")
        }
        self._torch()
        onnx = [self._read_onnx(release) for release in self._new("onnx", self._section("onnx"))]
        for proposal in onnx:
            if isinstance(proposal.facts, OnnxRelease):
                self.config = self.config.model_copy(update={"onnx": (*self.config.onnx, proposal.facts)})
        for package in ("onnx-tf", "tensorflow"):
            for release in self._new(package, [Version(row.pins[package]) for row in converters]):
                found = self._converter(release, {**latest, package: release.version})
                self.proposals.append(found)
                if found.lock is not None:
                    latest[package] = release.version
        for proposal in onnx:
            self.proposals.append(self._beside_newest(proposal, latest))

    def _section(self, name: Literal["onnx", "torch"]) -> list[Version]:
        return [Version(release.version) for release in getattr(self.config, name)]

    def _new(self, package: str, known: Collection[Version]) -> tuple[Release, ...]:
        noted = [version for name, version in self.noted if name == package]
        try:
            listed = self.offered.package(package)
            found, left = news(
                known, noted, listed, self.config.resolver.pythons, self.today, self._in_place_of(package)
            )
        except Indeterminate as error:
            self.unlisted.append((package, str(error)))
            return ()
        self.left += left
        return found

    def _in_place_of(self, package: str) -> Package | None:
        substitute = self.config.resolver.replace.get(package)
        try:
            return self.offered.package(substitute) if substitute else None
        except PackageUnknown:
            return None

    def _torch(self) -> None:
        for release in self._new("torch", self._section("torch")):
            proposal = Proposal("torch", release.version)
            try:
                opsets, dynamo = torch_opsets(self.offered.read("torch", release.version, TORCH_FILES))
            except (Indeterminate, ValueError) as error:
                self.proposals.append(replace(proposal, undecided=f"its opsets are not known: {error}"))
                continue
            version = str(release.version)
            facts = TorchRelease(version=version, released=release.uploaded, opsets=opsets, dynamo=dynamo)
            self.config = self.config.model_copy(update={"torch": (*self.config.torch, facts)})
            via: tuple[Via, ...] = ("torchscript", "dynamo") if dynamo else ("torchscript",)
            row = ExporterRow(id=f"torch-{version}", pins={"torch": version}, via=via)
            self.proposals.append(self._tried(replace(proposal, facts=facts), [row]))

    def _read_onnx(self, release: Release) -> Proposal:
        proposal = Proposal("onnx", release.version)
        try:
            files = self.offered.read("onnx", release.version, ONNX_FILES)
            return replace(proposal, facts=onnx_release(release.version, files))
        except (Indeterminate, ValueError) as error:
            return replace(proposal, undecided=f"its opsets are not known: {error}")

    def _converter(self, release: Release, pins: dict[str, Version]) -> Proposal:
        rows = (self._row(pins["onnx-tf"], onnx, pins["tensorflow"]) for onnx in islice(self._onnx_series(), TRIES))
        return self._tried(Proposal(release.package, release.version), rows)

    def _onnx_series(self) -> Iterator[Version]:
        """The newest release of every minor series in the table, newest first."""
        versions = sorted(self._section("onnx"), reverse=True)
        for _, series in groupby(versions, key=lambda version: (version.major, version.minor)):
            yield next(series)

    def _beside_newest(self, proposal: Proposal, latest: dict[str, Version]) -> Proposal:
        if proposal.undecided:
            return proposal
        row = self._row(latest["onnx-tf"], proposal.version, latest["tensorflow"])
        for earlier in self.proposals:
            if earlier.row is not None and earlier.row.id == row.id:
                # A new TensorFlow came with it: the row is there already, the release's own entry is not.
                return replace(proposal, row=earlier.row, lock=earlier.lock)
        return self._tried(proposal, [row])

    def _row(self, onnx_tf: Version, onnx: Version, tensorflow: Version) -> ConverterRow:
        return ConverterRow(
            id=f"onnxtf{onnx_tf}-onnx{onnx}-tf{tensorflow}",
            pins={"onnx-tf": str(onnx_tf), "onnx": str(onnx), "tensorflow": str(tensorflow)},
        )

    def _tried(self, proposal: Proposal, rows: Iterable[NewRow]) -> Proposal:
        """The proposal with the first of `rows` that a lock exists for."""
        refused: list[Refusal] = []
        for row in rows:
            try:
                found = self._locked(row)
            except (Indeterminate, ConfigError) as error:
                return replace(proposal, refused=tuple(refused), undecided=str(error))
            if isinstance(found, Lock):
                row = row.model_copy(update={"as_of": found.as_of}) if self._early(found) else row
                return replace(proposal, row=row, lock=found, refused=tuple(refused))
            refused.append(found)
        return replace(proposal, refused=tuple(refused))

    def _locked(self, row: NewRow) -> Lock | Refusal:
        try:
            request = make_request(self.config, row)
        except ConfigError as error:
            # A companion rule contradicts the pins.
            return Refusal(row, str(error))
        lock = self.offered.lock(request)
        return lock if lock.outcome == "resolved" else Refusal(row, gist(lock.explanation), self._early(lock))

    def _early(self, lock: Lock) -> dt.date | None:
        """The row's own date where it lies in the future: today's lock is then not yet what the row stands for."""
        if lock.newest_pin is None:
            return None
        own = lock.newest_pin + dt.timedelta(days=self.config.resolver.margin_days)
        return own if own > lock.as_of else None
