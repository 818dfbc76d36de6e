"""The converter's side of a prediction: what past cells and backend test cases show about converters. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from packaging.version import Version

from matrix.answers.evidence import Entry, Evidence, Profile
from matrix.answers.operators import Coverage, History, Use, since
from matrix.answers.operators.coverage import OF_NAMES
from matrix.answers.prediction.features import Feature, Reader, shapes
from matrix.answers.prediction.frequencies import CountedTrial, Failure, FeatureIndex, Frequencies, smoothed, suspects
from matrix.families import family_named, family_of
from matrix.families.registry import read_by
from matrix.judging.finding import Finding
from matrix.packages.lock import Lock
from matrix.packages.versions import version_of
from matrix.table.model import Config, ConverterRow, OnnxRelease

# The probability that a file passes a feature of which nothing is known. Most new things work.
KINDS = {
    "writer": 0.98,
    "form": 0.96,
    "mode": 0.99,
    "together": 0.99,
    "beyond": 0.9,
    "odd": 0.3,
    "alien": 0.05,
    "unclaimed": 0.1,
    "limit": 0.03,
}

# The weight, in files, of KINDS for a family, of a family for a release, and of a release for a row.
_STRENGTHS = (1.0, 2.0, 2.0)

# The share of torch modules that a converter passes, before any was seen.
_MODULES = 0.5

# Stages of a converter that do not depend on the file.
_BEFORE = frozenset({"lock", "build", "import"})


class ConverterRelease(NamedTuple):
    """A release of a converter: the family, and the version of its first package; '' for all releases."""

    family: str
    version: str

    def __str__(self) -> str:
        return f"{family_named(self.family).package} {self.version}"


def converter_release(row: ConverterRow) -> ConverterRelease:
    """Return the release of the converter that a row has."""
    return ConverterRelease(row.family, row.pins[family_of(row).package])


def nearest(row: ConverterRow, rows: Mapping[str, ConverterRow], among: Collection[str]) -> str | None:
    """Return the row itself, or the closest of the same family: by the version of the converter, then of the package
    that runs its artifacts, then of its other packages."""
    if row.id in among:
        return row.id
    alike = (name for name in among if name in rows and rows[name].family == row.family)
    return min(alike, key=lambda name: (*_distances(row, rows[name]), name), default=None)


def _distances(one: ConverterRow, two: ConverterRow) -> tuple[float, ...]:
    family = family_of(one)
    packages = sorted(family.packages, key=lambda package: (package != family.package, package != family.runtime))
    return tuple(abs(_place(one, package) - _place(two, package)) for package in packages)


def _place(row: ConverterRow, package: str) -> float:
    """Map a version to a number: major steps are far, patches near. One that the row leaves open counts as 0."""
    version = Version(row.pins.get(package, "0"))
    return version.major * 100 + version.minor + version.micro / 100


class Experience:
    """Probabilities of features by converter row, learned when they are first asked for. Features of the `ignored`
    kinds are skipped. `locks` have the versions that rows leave to the resolver."""

    def __init__(
        self,
        config: Config,
        evidence: Evidence,
        ignored: frozenset[str] = frozenset(),
        locks: Mapping[str, Lock] | None = None,
    ) -> None:
        self._config = config
        self._locks = locks or {}
        self._ignored = ignored
        self._rows = {row.id: row for row in config.converters if row.companions}
        self._coverage = evidence.coverage
        self._history = _history(evidence.coverage)
        self._documented = max((covered.opset for covered in evidence.coverage.values()), default=0)
        cases = [(dict(case.forms), case.uses) for found in evidence.coverage.values() for case in found.cases]
        self._shapes = shapes(evidence.profiles.values(), cases, self._history)
        self._index = FeatureIndex()
        self._readers: dict[str, Reader] = {}
        self._releases: dict[str, OnnxRelease | None] = {}
        self._learned: dict[str | ConverterRelease, Frequencies] = {}
        self._tried: dict[tuple[str, ConverterRelease], list[CountedTrial]] = {}
        self._broken: dict[str, Failure] = {}
        self._cells: dict[str, list[CountedTrial]] = defaultdict(list)
        self._modules: dict[str, list[Failure | None]] = defaultdict(list)
        self._add(evidence)

    def release(self, row: ConverterRow) -> OnnxRelease | None:
        """Return the ONNX release of its onnx; None if it reads no .onnx files, or its version is not known."""
        if row.id not in self._releases:
            reads = family_of(row).reads
            known = reads is not None and version_of(row, reads, self._locks) is not None
            self._releases[row.id] = read_by(self._config, row, self._locks) if known else None
        return self._releases[row.id]

    def knows(self, use: Use, opset: int) -> bool:
        """Whether an opset has the operator of a use; True for one that no ONNX release defines."""
        return use.operator not in self._history or since(self._history, use.operator, opset) is not None

    def broken(self, row: ConverterRow) -> Failure | None:
        """Return why its environment cannot be built or imported, from cells of the row or of the nearest."""
        near = nearest(row, self._rows, self._cells.keys() | self._broken.keys())
        # If other cells got past the import, the failure had another cause, such as memory.
        return self._broken.get(near) if near is not None and near not in self._cells else None

    def of_module(self, row: ConverterRow) -> tuple[float, Failure | None, str]:
        """For a row whose source is torch, where no file has features to look at: return the share of models that pass
        in this row or the nearest, a failure of the commonest kind, and the basis in words."""
        near = nearest(row, self._rows, self._modules.keys())
        if near is None:
            return _MODULES, None, "no measurements of this converter"
        failed = [failure for failure in self._modules[near] if failure is not None]
        kinds = Counter(failure.finding.kind for failure in failed)
        common = max(failed, key=lambda failure: kinds[failure.finding.kind], default=None)
        chance = smoothed(_MODULES, len(self._modules[near]) - len(failed), len(failed))
        return chance, common, f"other models with {'this row' if near == row.id else near}"

    def chances(self, row: ConverterRow, profile: Profile) -> dict[Feature, float]:
        """Return the probability that the row passes each feature of a file."""
        learned, features = self._of_row(row), self._reader(row).features(profile)
        size = len(learned.chances)
        return {
            feature: float(learned.chances[number]) if number < size else KINDS[feature.kind]
            for feature, number in zip(features, self._index.numbers(features), strict=True)
        }

    def failures(self, row: ConverterRow, feature: Feature) -> list[Failure]:
        """Return failures blamed on a feature: in the row, else with the same release of its converter, else with
        any."""
        number, release = int(self._index.numbers((feature,))[0]), converter_release(row)
        scopes = (self._of_row(row), self._of_release(release), self._of_release(release._replace(version="")))
        return next((found for scope in scopes if (found := scope.blamed_on(number))), [])

    def basis(self, row: ConverterRow) -> str:
        """Say what the probabilities of this row rest on."""
        near = nearest(row, self._rows, self._cells.keys())
        name = "this row" if near == row.id else near or "no row"
        covered = " and backend test cases" if self._covered(row) is not None else ""
        return f"cells of {name}{covered}"

    def _add(self, evidence: Evidence) -> None:
        """Add past cells. Files of the same content with the same finding are one trial, seen several times."""
        seen: Counter[tuple[Any, ...]] = Counter()
        examples: dict[tuple[Any, ...], tuple[ConverterRow, Entry, Profile]] = {}
        for entry in evidence.entries:
            row, finding = self._rows.get(entry.converter), entry.finding
            if row is None or finding.indeterminate or finding.role not in (None, "converter"):
                continue
            of_module = family_of(row).source == "torch"
            if of_module:
                self._modules[row.id].append(None if finding.good else Failure(finding, of=entry.model))
            if finding.stage in _BEFORE:
                self._broken.setdefault(row.id, Failure(finding, of=row.id))
            elif of_module:
                # There is no file, but its environment works.
                self._cells[row.id]
            elif (profile := evidence.profiles.get(entry.profile)) is not None:
                file = (entry.exporter, id(profile.uses), profile.opset_written, profile.ir_version)
                key = (row.id, *file, finding)
                examples.setdefault(key, (row, entry, profile))
                seen[key] += 1
        for key, (row, entry, profile) in examples.items():
            known = self.release(row)
            if known is None or (profile.ir_version or 0) <= known.ir:
                features = self._reader(row).features(profile)
                self._cells[row.id].append(self._trial(features, entry.finding, entry.model, seen[key]))

    def _trial(
        self, features: Iterable[Feature], finding: Finding, of: str, count: int = 1, single: bool = False
    ) -> CountedTrial:
        failure = None if finding.good else Failure(finding, of)
        blamed = features if failure is None else suspects(features, failure)
        return CountedTrial(self._index.numbers(blamed), failure, count, single)

    def _reader(self, row: ConverterRow) -> Reader:
        if row.id not in self._readers:
            covered, known = self._covered(row), self.release(row)
            opsets = [known.opset] if known is not None else [release.opset for release in self._config.onnx]
            self._readers[row.id] = Reader(
                family_of(row).limits(row.pins),
                max(opsets, default=0),
                self._history,
                self._documented,
                self._shapes,
                covered.handlers if covered is not None else {},
                self._ignored,
            )
        return self._readers[row.id]

    def _covered(self, row: ConverterRow) -> Coverage | None:
        """Return its coverage, or that of another row with the same release of its converter."""
        near = self._nearest_of_release(row, self._coverage)
        return self._coverage[near] if near is not None else None

    def _nearest_of_release(self, row: ConverterRow, among: Iterable[str]) -> str | None:
        of = converter_release(row)
        same = [name for name in among if name in self._rows and converter_release(self._rows[name]) == of]
        return nearest(row, self._rows, same)

    def _of_row(self, row: ConverterRow) -> Frequencies:
        if row.id not in self._learned:
            near = row.id if row.id in self._cells else self._nearest_of_release(row, self._cells)
            trials = [*(self._cells[near] if near is not None else []), *self._cases(row)]
            self._learned[row.id] = self._frequencies(trials, self._of_release(converter_release(row)), _STRENGTHS[2])
        return self._learned[row.id]

    def _of_release(self, of: ConverterRelease) -> Frequencies:
        """Learn from the cells of a release of a converter, or of all its releases."""
        if of not in self._learned:
            whole = of._replace(version="")
            releases = {name: converter_release(self._rows[name]) for name in self._cells}
            names = [name for name, release in releases.items() if of in (release, release._replace(version=""))]
            trials = [trial for name in names for trial in self._cells[name]]
            above, strength = (None, _STRENGTHS[0]) if of == whole else (self._of_release(whole), _STRENGTHS[1])
            self._learned[of] = self._frequencies(trials, above, strength)
        return self._learned[of]

    def _frequencies(self, trials: list[CountedTrial], above: Frequencies | None, strength: float) -> Frequencies:
        priors = np.array([KINDS[feature.kind] for feature in self._index.seen])
        if above is not None:
            priors[: len(above.chances)] = above.chances
        return Frequencies(trials, priors, strength)

    def _cases(self, row: ConverterRow) -> list[CountedTrial]:
        """Return its test cases as trials. If its release has none, return those that the nearest release passes: what
        that one fails shows nothing."""
        covered = own = self._covered(row)
        if covered is None:
            near = nearest(row, self._rows, self._coverage.keys())
            if near is None:
                return []
            covered = self._coverage[near]
        # Rows of one release share their trials: what their onnx reads plays no part in a test case.
        key = covered.converter, converter_release(row)
        if key not in self._tried:
            self._tried[key] = list(self._trials_of(self._reader(row), covered, failures=own is not None))
        return self._tried[key]

    def _trials_of(self, reader: Reader, covered: Coverage, failures: bool) -> Iterator[CountedTrial]:
        for case in covered.cases:
            if case.counts and case.finding.reason not in OF_NAMES and (failures or case.finding.good):
                forms = dict(case.forms)
                of_uses = (feature for use in case.uses for feature in reader.of_form(use, forms.get(use.operator)))
                yield self._trial(tuple(dict.fromkeys(of_uses)), case.finding, case.name, single=True)


def _history(coverage: Mapping[str, Coverage]) -> History:
    """Merge the forms of operators that the onnx of any row knows."""
    found: dict[str, set[int]] = defaultdict(set)
    for covered in coverage.values():
        for operator, versions in covered.schemas.items():
            found[operator].update(versions)
    return {operator: sorted(versions) for operator, versions in found.items()}
