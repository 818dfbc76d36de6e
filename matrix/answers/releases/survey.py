"""Find releases that the table does not know, and resolve each as a row it could have."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice, product
from typing import Literal, Protocol

from packaging.version import Version

from matrix.answers.releases.facts import ONNX_FILES, TORCH_FILES, onnx_release, torch_opsets
from matrix.answers.releases.releases import LeftOut, NewRelease, news
from matrix.core.errors import ConfigError, Indeterminate
from matrix.environments.locks.request import Request, make_request
from matrix.families import Family, in_order
from matrix.packages.index import Package, PackageUnknown
from matrix.packages.lock import Lock
from matrix.table.model import Config, ConverterRow, ExporterRow, OnnxRelease, TorchRelease, Via

# How many combinations of packages that `update` does not watch, such as minor series of onnx, are tried for a release,
# newest first.
TRIES = 6

# Packages with their own section in the table.
ONNX, TORCH = "onnx", "torch"

_SECTION = re.compile(r"^Python ([\d., ]+):$", re.MULTILINE)
_BECAUSE = re.compile(r"Because (.*?)(?:, we can conclude that|$)")
_CHOICES = re.compile(r"depends on one of: (\S+)(?: \S+)* (\S+) and ")
# Refusals about a Python rather than about the row.
_OF_A_PYTHON = re.compile(
    r"ABI tag|no usable wheels|no wheels|Requires-Python|the (?:current|requested) Python version"
)
_LONGEST = 240

Fact = OnnxRelease | TorchRelease
NewRow = ExporterRow | ConverterRow
Standing = Literal["lockable", "unsatisfiable", "undecided"]


class ReleaseSource(Protocol):
    """The package index as a survey needs it. All methods raise Indeterminate if there is no answer."""

    def package(self, name: str) -> Package:
        """Return all files of a package. Raises PackageUnknown if it does not exist, DatesUnknown if the index has no
        upload times.
        """
        ...

    def read(self, name: str, version: Version, members: tuple[str, ...]) -> dict[str, str]:
        """Return the files `members` of a release as text, as far as it has them."""
        ...

    def lock(self, request: Request) -> Lock:
        """Return the lock of a request; nothing is written."""
        ...


@dataclass(frozen=True)
class RefusedRelease:
    """A row that cannot be locked, with the resolver's reason in one line.

    `until` is the day until which that may change, because packages that go with the newest pin may still be released;
    None once that day has passed.
    """

    row: NewRow
    why: str
    until: dt.date | None = None


@dataclass(frozen=True)
class ProposedRow:
    """The result for one new release.

    `facts` are its entry in the table's `onnx` or `torch` section. `row` is the one that has a lock (`lock`), None if
    there is none. `refused` are rows that were tried before it, in order. `undecided` is why the release could not be
    judged. `family` is set if several families of the table use the package.
    """

    package: str
    version: Version
    facts: Fact | None = None
    row: NewRow | None = None
    lock: Lock | None = None
    refused: tuple[RefusedRelease, ...] = ()
    undecided: str = ""
    family: str = ""

    @property
    def standing(self) -> Standing:
        if self.undecided:
            return "undecided"
        return "lockable" if self.lock else "unsatisfiable"

    @property
    def until(self) -> dt.date | None:
        """Return the day until which an unsatisfiable release may still become lockable."""
        days = [refusal.until for refusal in self.refused if refusal.until]
        return max(days) if days and self.lock is None else None


@dataclass(frozen=True)
class Survey:
    """`unlisted` are the packages whose releases are unknown, and why."""

    as_of: dt.date
    proposals: tuple[ProposedRow, ...]
    left_out: tuple[LeftOut, ...]
    unlisted: tuple[tuple[str, str], ...]

    def of(self, standing: Standing) -> tuple[ProposedRow, ...]:
        return tuple(proposal for proposal in self.proposals if proposal.standing == standing)


def beside(package: str, family: str) -> str:
    """Return the name under which a release is noted: another family may be able to lock what one cannot."""
    return f"{package} beside {family}" if family else package


def survey(config: Config, noted: Collection[tuple[str, Version]], index: ReleaseSource, today: dt.date) -> Survey:
    """Look for releases newer than the newest of each package in the table. Releases in `noted`, named as by `beside`,
    are known to have no lock and are not tried again.
    """
    watch = _Watch(config, noted, index, today)
    watch.look()
    return Survey(today, tuple(watch.proposals), tuple(watch.left), tuple(watch.unlisted))


@dataclass
class _Watch:
    config: Config
    noted: Collection[tuple[str, Version]]
    index: ReleaseSource
    today: dt.date
    proposals: list[ProposedRow] = field(default_factory=list)
    left: list[LeftOut] = field(default_factory=list)
    unlisted: list[tuple[str, str]] = field(default_factory=list)

    def look(self) -> None:
        """Look at each package in the order in which rows build on each other, so that new rows can use a new onnx."""
        rows = [row for row in self.config.converters if row.companions]
        families = in_order(row.family for row in rows)
        readers = [made for made in families if made.reads in made.packages]
        self._torch()
        onnx = [self._read_onnx(release) for release in self._new(ONNX, self._section(ONNX))] if readers else []
        for proposal in onnx:
            if isinstance(proposal.facts, OnnxRelease):
                self.config = self.config.model_copy(update={"onnx": (*self.config.onnx, proposal.facts)})
        newest = {}
        for made in families:
            own = [row for row in rows if row.family == made.name]
            newest[made.name] = self._of_family(made, own, families)
        for proposal in onnx:
            for made in readers[:1] if proposal.undecided else readers:
                name = made.name if len(readers) > 1 else ""
                self.proposals.append(self._beside_newest(replace(proposal, family=name), made, newest[made.name]))
                # The release's own entry is written only once.
                proposal = replace(proposal, facts=None)

    def _of_family(self, made: Family, rows: Sequence[ConverterRow], families: Sequence[Family]) -> dict[str, Version]:
        """Look for new releases of a family's watched packages; return the newest usable version of each package."""
        latest = {package: max(Version(row.pins[package]) for row in rows) for package in made.packages}
        for package in made.watched:
            several = sum(package in other.watched for other in families) > 1
            name = made.name if several else ""
            known = [Version(row.pins[package]) for row in rows]
            for release in self._new(package, known, name):
                if package in (ONNX, TORCH) and release.version not in self._section(package):
                    # Its opsets are unknown, so no row can have it.
                    continue
                found = self._converter(release, made, {**latest, package: release.version}, name)
                self.proposals.append(found)
                if found.lock is not None:
                    latest[package] = release.version
        return latest

    def _section(self, name: str) -> list[Version]:
        return [Version(release.version) for release in getattr(self.config, name)]

    def _new(self, package: str, known: Collection[Version], family: str = "") -> tuple[NewRelease, ...]:
        names = (package, beside(package, family))
        noted = [version for name, version in self.noted if name in names]
        try:
            listed = self.index.package(package)
            found, left = news(
                known, noted, listed, self.config.resolver.pythons, self.today, self._in_place_of(package)
            )
        except Indeterminate as error:
            if package not in dict(self.unlisted):
                self.unlisted.append((package, str(error)))
            return ()
        self.left += [item for item in left if item not in self.left]
        return found

    def _in_place_of(self, package: str) -> Package | None:
        substitute = self.config.resolver.replace.get(package)
        try:
            return self.index.package(substitute) if substitute else None
        except PackageUnknown:
            return None

    def _torch(self) -> None:
        for release in self._new(TORCH, self._section(TORCH)):
            proposal = ProposedRow("torch", release.version)
            try:
                opsets, dynamo = torch_opsets(self.index.read("torch", release.version, TORCH_FILES))
            except (Indeterminate, ValueError) as error:
                self.proposals.append(replace(proposal, undecided=f"its opsets are unknown: {error}"))
                continue
            version = str(release.version)
            facts = TorchRelease(version=version, released=release.uploaded, opsets=opsets, dynamo=dynamo)
            self.config = self.config.model_copy(update={"torch": (*self.config.torch, facts)})
            via: tuple[Via, ...] = ("torchscript", "dynamo") if dynamo else ("torchscript",)
            row = ExporterRow(id=f"torch-{version}", pins={"torch": version}, via=via)
            self.proposals.append(self._tried(replace(proposal, facts=facts), [row]))

    def _read_onnx(self, release: NewRelease) -> ProposedRow:
        proposal = ProposedRow("onnx", release.version)
        try:
            files = self.index.read("onnx", release.version, ONNX_FILES)
            return replace(proposal, facts=onnx_release(release.version, files))
        except (Indeterminate, ValueError) as error:
            return replace(proposal, undecided=f"its opsets are unknown: {error}")

    def _converter(self, release: NewRelease, made: Family, pins: Mapping[str, Version], family: str) -> ProposedRow:
        """Try a release with the newest versions of watched packages, and of others those that the table has."""
        left = {
            package: list(self._series(package))
            for package in made.packages
            if package in (ONNX, TORCH) and package not in made.watched
        }
        combinations = (dict(zip(left, versions, strict=True)) for versions in product(*left.values()))
        rows = (_row(made, {**pins, **others}) for others in islice(combinations, TRIES))
        return self._tried(ProposedRow(release.package, release.version, family=family), rows)

    def _series(self, section: str) -> Iterator[Version]:
        """Yield the newest release of every minor series in a section of the table, newest first."""
        versions = sorted(self._section(section), reverse=True)
        for _, series in groupby(versions, key=lambda version: (version.major, version.minor)):
            yield next(series)

    def _beside_newest(self, proposal: ProposedRow, made: Family, latest: Mapping[str, Version]) -> ProposedRow:
        if proposal.undecided:
            return proposal
        row = _row(made, {**latest, proposal.package: proposal.version})
        for earlier in self.proposals:
            if earlier.row is not None and earlier.row.id == row.id:
                # The row of another new release includes it; only its own entry is missing.
                return replace(proposal, row=earlier.row, lock=earlier.lock)
        return self._tried(proposal, [row])

    def _tried(self, proposal: ProposedRow, rows: Iterable[NewRow]) -> ProposedRow:
        """Return the proposal with the first of `rows` that has a lock."""
        refused: list[RefusedRelease] = []
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

    def _locked(self, row: NewRow) -> Lock | RefusedRelease:
        try:
            request = make_request(self.config, row)
        except ConfigError as error:
            # A companion rule conflicts with the pins.
            return RefusedRelease(row, str(error))
        lock = self.index.lock(request)
        return lock if lock.outcome == "resolved" else RefusedRelease(row, gist(lock.explanation), self._early(lock))

    def _early(self, lock: Lock) -> dt.date | None:
        """Return the row's own date if it is in the future: then today's lock may not be final."""
        if lock.newest_pin is None:
            return None
        own = lock.newest_pin + dt.timedelta(days=self.config.resolver.margin_days)
        return own if own > lock.as_of else None


def _row(made: Family, pins: Mapping[str, Version]) -> ConverterRow:
    """Return a row of a family; the family is stated only if it is not the default."""
    stated = {package: str(pins[package]) for package in made.packages}
    row = ConverterRow(id=made.row_id(stated), pins=stated)
    return row if row.family == made.name else ConverterRow(id=row.id, pins=stated, family=made.name)


def gist(explanation: str) -> str:
    """Summarise a resolver's explanation in one line. Of its refusals, which are grouped by Python, the first is taken
    that is not about wheels for that Python, else the first.
    """
    pieces = _SECTION.split(explanation)
    refusals = [(python, _cause(text)) for python, text in zip(pieces[1::2], pieces[2::2], strict=True)]
    if not refusals:
        return _shortened(_cause(explanation))
    python, cause = next((item for item in refusals if not _OF_A_PYTHON.search(item[1])), refusals[0])
    return _shortened(f"Python {python}: {cause}")


def _cause(text: str) -> str:
    flat = " ".join(text.split())
    found = _BECAUSE.search(flat)
    return _CHOICES.sub(r"depends on one of \1 … \2 and ", found[1] if found else flat)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"
