"""What past cells and backend test cases say of a converter. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from matrix.answers.evidence import Entry, Evidence, Profile
from matrix.answers.evidence.known import ProfileKey
from matrix.answers.operators import Coverage
from matrix.answers.operators.opsets import History
from matrix.answers.operators.summary import OF_NAMES
from matrix.answers.prediction.features import Feature, Reader, shapes
from matrix.answers.prediction.frequencies import (
    CountedTrial,
    Failure,
    FeatureIndex,
    Frequencies,
    Shares,
    kind_priors,
    suspects,
)
from matrix.answers.prediction.rows import ConverterRelease, converter_release, nearest
from matrix.families import family_of
from matrix.families.registry import read_by
from matrix.packages.lock import Lock
from matrix.packages.versions import version_of
from matrix.table.model import Config, ConverterRow, OnnxRelease

# How likely a file gets past a feature that nothing is known of. Most of what is new works.
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

# So many files is worth what all rows of a family say to one release of it, and that to one of its rows.
_STRENGTHS = (1.0, 2.0, 2.0)

# Stages of a converter that do not depend on the file.
_BEFORE = frozenset({"lock", "build", "import"})


class Experience:
    """Chances of features by converter row, learned when they are first asked for. Features of the kinds `ignored`
    are not looked at. `locks` tell what a row leaves to the resolver."""

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
        self._told = max((covered.opset for covered in evidence.coverage.values()), default=0)
        cases = [(dict(case.forms), case.uses) for found in evidence.coverage.values() for case in found.cases]
        self._shapes = shapes(evidence.profiles.values(), cases, self._history)
        self._index = FeatureIndex()
        self._readers: dict[str, Reader] = {}
        self._releases: dict[str, OnnxRelease | None] = {}
        self._newest = max((release.opset for release in config.onnx), default=0)
        self._learned: dict[str | ConverterRelease, Frequencies] = {}
        self._tried: dict[tuple[str, ConverterRelease, bool], list[CountedTrial]] = {}
        self._broken: dict[str, Failure] = {}
        self._cells: dict[str, list[CountedTrial]] = defaultdict(list)
        self._add(evidence.entries, evidence.profiles)

    def release(self, row: ConverterRow) -> OnnxRelease | None:
        """What its onnx knows; None where no release of onnx says what it reads, or nobody knows which it has."""
        if row.id not in self._releases:
            reads = family_of(row).reads
            known = reads is not None and version_of(row, reads, self._locks) is not None
            self._releases[row.id] = read_by(self._config, row, self._locks) if known else None
        return self._releases[row.id]

    def broken(self, row: ConverterRow) -> Failure | None:
        """Why its environment cannot be made or imported, as cells of it or of the row nearest to it showed."""
        near = nearest(row, self._rows, self._cells.keys() | self._broken.keys())
        # Where others got past the import, it was something else, such as memory, that ended one of them.
        return self._broken.get(near) if near is not None and near not in self._cells else None

    def chances(self, row: ConverterRow, profile: Profile) -> dict[Feature, float]:
        """How likely the row gets past each feature of a file."""
        learned, features = self._of_row(row), self._reader(row).features(profile)
        numbers = self._index.numbers(features)
        size = len(learned.chances)
        return {
            feature: float(learned.chances[number]) if number < size else KINDS[feature.kind]
            for feature, number in zip(features, numbers, strict=True)
        }

    def failures(self, row: ConverterRow, feature: Feature) -> list[Failure]:
        """What was blamed on a feature, in the row, or else with the same release of its converter, or with any."""
        number = int(self._index.numbers((feature,))[0])
        for scope in (self._of_row(row), self._of_release(converter_release(row)), self._of_all(row.family)):
            if found := scope.blamed_on(number):
                return found
        return []

    def basis(self, row: ConverterRow) -> str:
        """What the chances of this row rest on, in words."""
        near = nearest(row, self._rows, self._cells.keys())
        name = "this row" if near == row.id else near or "no row"
        covered = " and backend test cases" if self._covered(row) is not None else ""
        return f"cells of {name}{covered}"

    def _add(self, entries: tuple[Entry, ...], profiles: Mapping[ProfileKey, Profile]) -> None:
        """Files of the same content that came to the same are one trial, seen several times."""
        seen: dict[tuple[Any, ...], int] = {}
        examples: dict[tuple[Any, ...], tuple[Entry, Profile]] = {}
        for entry in entries:
            if (
                entry.finding.role not in (None, "converter")
                or entry.finding.indeterminate
                or entry.converter not in self._rows
            ):
                continue
            if entry.finding.stage in _BEFORE:
                failure = Failure(entry.finding, of=entry.converter)
                self._broken.setdefault(entry.converter, failure)
            elif family_of(self._rows[entry.converter]).source == "torch":
                # There is no file, but its environment works.
                self._cells[entry.converter]
            elif (profile := profiles.get(entry.profile)) is not None:
                what = (entry.converter, entry.exporter, id(profile.uses), profile.opset_written, profile.ir_version)
                key = (*what, entry.finding)
                if key not in seen:
                    examples[key] = entry, profile
                seen[key] = seen.get(key, 0) + 1
        for key, (entry, profile) in examples.items():
            row = self._rows[entry.converter]
            known = self.release(row)
            if known is None or (profile.ir_version or 0) <= known.ir:
                self._cells[row.id].append(self._trial(row, entry, profile, seen[key]))

    def _trial(self, row: ConverterRow, entry: Entry, profile: Profile, count: int) -> CountedTrial:
        features = self._reader(row).features(profile)
        if entry.finding.verdict == "match":
            return CountedTrial(self._index.numbers(features), None, count)
        failure = Failure(entry.finding, of=entry.model)
        return CountedTrial(self._index.numbers(suspects(features, failure)), failure, count)

    def _reader(self, row: ConverterRow) -> Reader:
        if row.id not in self._readers:
            covered = self._covered(row)
            handlers: History = covered.handlers if covered is not None else {}
            known = self.release(row)
            newest = known.opset if known is not None else self._newest
            limits = family_of(row).limits(row.pins)
            self._readers[row.id] = Reader(
                limits, newest, self._history, self._told, self._shapes, handlers, self._ignored
            )
        return self._readers[row.id]

    def _covered(self, row: ConverterRow) -> Coverage | None:
        """Its coverage, or that of another row with the same release of its converter."""
        same = [name for name in self._coverage if name in self._rows and _same_release(self._rows[name], row)]
        near = nearest(row, self._rows, same)
        return self._coverage[near] if near is not None else None

    def _of_row(self, row: ConverterRow) -> Frequencies:
        if row.id not in self._learned:
            own = self._cells.get(row.id)
            if own is None:
                near = nearest(row, self._rows, [n for n in self._cells if _same_release(self._rows[n], row)])
                own = self._cells[near] if near is not None else []
            cases = self._cases(row)
            above = self._of_release(converter_release(row))
            self._learned[row.id] = Frequencies([*own, *cases], self._priors(above), _STRENGTHS[2])
        return self._learned[row.id]

    def _of_release(self, of: ConverterRelease) -> Frequencies:
        if of not in self._learned:
            trials = [
                trial
                for name in self._cells
                if converter_release(self._rows[name]) == of
                for trial in self._cells[name]
            ]
            self._learned[of] = Frequencies(trials, self._priors(self._of_all(of.family)), _STRENGTHS[1])
        return self._learned[of]

    def _of_all(self, family: str) -> Frequencies:
        key = ConverterRelease(family, "")
        if key not in self._learned:
            trials = [trial for name in self._cells if self._rows[name].family == family for trial in self._cells[name]]
            self._learned[key] = Frequencies(trials, kind_priors(self._index.features, KINDS), _STRENGTHS[0])
        return self._learned[key]

    def _priors(self, above: Frequencies) -> Shares:
        priors = kind_priors(self._index.features, KINDS)
        priors[: len(above.chances)] = above.chances
        return priors

    def _cases(self, row: ConverterRow) -> list[CountedTrial]:
        """Of a row without coverage, what the nearest release got through says something too; not what it did not."""
        covered = self._covered(row)
        if covered is not None:
            return self._trials(row, covered, failures=True)
        near = nearest(row, self._rows, self._coverage.keys())
        return self._trials(row, self._coverage[near], failures=False) if near is not None else []

    def _trials(self, row: ConverterRow, covered: Coverage, failures: bool) -> list[CountedTrial]:
        # To rows of one release a case shows the same: what their onnx knows plays no part in it.
        key = covered.converter, converter_release(row), failures
        if key not in self._tried:
            self._tried[key] = self._trials_of(self._reader(row), covered, failures)
        return self._tried[key]

    def _trials_of(self, reader: Reader, covered: Coverage, failures: bool) -> list[CountedTrial]:
        trials = []
        for case in covered.cases:
            if (
                case.finding.verdict == "unavailable"
                or case.finding.reason in OF_NAMES
                or (case.finding.verdict != "match" and not failures)
            ):
                continue
            forms = dict(case.forms)
            of_uses = (feature for use in case.uses for feature in reader.of_form(use, forms.get(use.operator)))
            features = tuple(dict.fromkeys(of_uses))
            if case.finding.verdict == "match":
                trials.append(CountedTrial(self._index.numbers(features)))
            else:
                failure = Failure(case.finding, of=case.name)
                trials.append(CountedTrial(self._index.numbers(suspects(features, failure)), failure, single=True))
        return trials


def _same_release(one: ConverterRow, two: ConverterRow) -> bool:
    return converter_release(one) == converter_release(two)


def _history(coverage: Mapping[str, Coverage]) -> History:
    """The forms of operators that any of the rows' onnx knows."""
    found: dict[str, set[int]] = defaultdict(set)
    for covered in coverage.values():
        for operator, versions in covered.schemas.items():
            found[operator].update(versions)
    return {operator: sorted(versions) for operator, versions in found.items()}
