"""The order in which toolchains are tried: likely ones first, and among equally likely ones the preferred."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, zip_longest
from statistics import median
from typing import TYPE_CHECKING, Literal

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from matrix.answers.evidence import Entry, Evidence
from matrix.answers.pick.candidates import Candidates
from matrix.answers.pick.constraints import Constraint
from matrix.answers.prediction import Eased, Prediction, Predictor
from matrix.families import family_of
from matrix.planning.cells import Cell
from matrix.table.model import ModelSpec

if TYPE_CHECKING:
    from matrix.app.project import Project

Preference = Literal["newest", "smallest", "fastest", "most-accurate", "fastest-answer"]
Key = tuple[float, ...]

# The bounds between the classes of likelihood. A preference decides within a class only: it must not outweigh a
# probable failure.
_LIKELY = (0.9, 0.75, 0.5, 0.2)

# Toolchains of a less likely class are not recommended in place of a constraint: they are not worth a conversion.
_HOPEFUL = 3


@dataclass(frozen=True)
class PickRequest:
    """The request of a user. `needs` is a kind of artifact that has to work too; `built` are the environments that this
    machine has."""

    model: ModelSpec
    constraints: tuple[Constraint, ...] = ()
    prefer: Preference = "newest"
    prove: int = 1
    limit: int = 12
    single: bool = False
    remedy: bool = True
    needs: str | None = None
    built: Collection[str] = ()


@dataclass(frozen=True)
class Ranked:
    """A candidate and its prediction; `eased` where a translation of its .onnx file makes a match more likely."""

    cell: Cell
    prediction: Prediction
    eased: Eased | None = None

    @property
    def probability(self) -> float:
        """The probability that it matches, translated if need be."""
        eased = self.eased.prediction.probability if self.eased is not None else 0.0
        return max(self.prediction.probability, eased)

    @property
    def likelihood(self) -> int:
        """The class of its probability: 0 is the best."""
        return sum(self.probability < bound for bound in _LIKELY)

    def less(self, share: float) -> Ranked:
        """Return the candidate with this share of its probability."""
        if share == 1:
            return self
        eased = replace(self.eased, prediction=_less(self.eased.prediction, share)) if self.eased is not None else None
        return replace(self, prediction=_less(self.prediction, share), eased=eased)


def _less(prediction: Prediction, share: float) -> Prediction:
    return replace(prediction, probability=prediction.probability * share)


Ranker = Callable[[Sequence[Constraint]], list[Ranked]]
"""Returns the candidates within constraints, best first."""


def ranker(project: Project, wanted: PickRequest, evidence: Evidence) -> Ranker:
    """Return the ranker of a request, for the rows that the project has now."""
    predictor = Predictor(project.config, evidence, locks=project.locks)
    prefer = preferred(wanted.prefer, evidence.entries, wanted.built)
    candidates = Candidates(project.offered, project.locks, project.build, wanted.needs)
    # Only a user's file is translated: for others there are exports at every opset.
    eased = predictor.eased if wanted.model.is_file and wanted.remedy else _not_eased
    return lambda constraints: rank(candidates.cells(wanted.model, constraints), predictor.predict, prefer, eased)


def _not_eased(cell: Cell) -> Eased | None:
    return None


def rank(
    cells: Iterable[Cell],
    predict: Callable[[Cell], Prediction],
    prefer: Callable[[Cell], Key],
    eased: Callable[[Cell], Eased | None] = _not_eased,
) -> list[Ranked]:
    """Sort candidates, best first. `prefer` gives better ones a smaller key."""
    ranked = [Ranked(cell, predict(cell), eased(cell)) for cell in cells]
    return sorted(ranked, key=lambda item: (item.likelihood, *prefer(item.cell), -item.probability))


def preferred(preference: Preference, entries: Sequence[Entry], built: Collection[str] = ()) -> Callable[[Cell], Key]:
    """Return the sort key of a preference, from measurements of environments with any model. Cells without measurements
    come last. For the fastest answer, what is `built` already has no size."""
    if preference == "newest":
        return _newest
    if preference in ("smallest", "fastest-answer"):
        sizes = {entry.converter: entry.converter_mb for entry in entries if entry.converter_mb is not None}
        sizes |= {entry.exporter: entry.exporter_mb for entry in entries if entry.exporter_mb is not None}

        if preference == "fastest-answer":
            sizes |= dict.fromkeys(built, 0.0)

        def megabytes(cell: Cell) -> float:
            sides = [cell.converter.id, *([cell.exporter.id] if cell.exporter.writes else [])]
            return sum(sizes.get(side, math.inf) for side in sides)

        return lambda cell: (megabytes(cell), *_newest(cell))
    if preference == "fastest":
        times = _relative(entries, lambda entry: entry.inference_seconds)
        return lambda cell: (times.get(cell.converter.id, math.inf), *_newest(cell))
    margins = _relative(entries, lambda entry: entry.margin)
    return lambda cell: (-margins.get(cell.converter.id, -math.inf), *_newest(cell))


def _relative(entries: Sequence[Entry], value: Callable[[Entry], float | None]) -> dict[str, float]:
    """{converter: median over its matching models of its value ÷ the median of all converters with that model}, so that
    differences between models do not count."""
    matched = [entry for entry in entries if entry.finding.good]
    values = [(entry, found) for entry in matched if (found := value(entry)) is not None and found > 0]
    usual = _medians((entry.model, found) for entry, found in values)
    return _medians((entry.converter, found / usual[entry.model]) for entry, found in values)


def _medians(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    grouped: dict[str, list[float]] = {}
    for name, value in values:
        grouped.setdefault(name, []).append(value)
    return {name: median(found) for name, found in grouped.items()}


def _newest(cell: Cell) -> Key:
    """Sort by the packages of the converter's family, in its own order, then torch, newest first; then by the highest
    opset, the exporter's newest form."""
    order = family_of(cell.converter).order
    versions = [*(cell.converter.pins.get(package, "") for package in order), cell.exporter.torch]
    return (*(number for version in versions for number in _descending(version)), -cell.opset)


def _descending(version: str) -> tuple[int, int, int]:
    release = (*(Version(version).release if version else ()), 0, 0, 0)
    return -release[0], -release[1], -release[2]


@dataclass(frozen=True)
class Overall:
    """A toolchain with the models it was measured with; `cell` is one of its cells."""

    cell: Cell
    matched: tuple[str, ...]
    failed: tuple[str, ...]


def overall(
    cells: Iterable[Cell], entries: Sequence[Entry], prefer: Callable[[Cell], Key], models: frozenset[str]
) -> list[Overall]:
    """Rank toolchains without a model in mind: by how many of `models` matched, then by the user's preference."""
    seen: dict[tuple[str, int, str], dict[str, bool]] = {}
    for entry in entries:
        if entry.model in models and not entry.finding.indeterminate:
            toolchain = seen.setdefault((entry.exporter, entry.opset, entry.converter), {})
            toolchain[entry.model] = entry.finding.verdict == "match"
    found = []
    for cell in cells:
        if measured := seen.get((cell.exporter.id, cell.opset, cell.converter.id)):
            matched = tuple(sorted(model for model, matches in measured.items() if matches))
            failed = tuple(sorted(measured.keys() - {*matched}))
            found.append(Overall(cell, matched, failed))
    return sorted(found, key=lambda item: (-len(item.matched), len(item.failed), prefer(item.cell)))


def relaxations(constraints: Sequence[Constraint], ranked: Ranker) -> list[tuple[tuple[Constraint, ...], list[Ranked]]]:
    """Return the smallest sets of constraints to give up, the most promising first, each with likely toolchains that
    satisfy the others: the likeliest first, then those closest to the constraints."""
    for number in range(1, len(constraints) + 1):
        found = []
        for given_up in combinations(constraints, number):
            kept = [constraint for constraint in constraints if constraint not in given_up]
            hopeful = [item for item in ranked(kept) if item.likelihood <= _HOPEFUL]
            if hopeful:
                nearest = sorted(hopeful, key=lambda item: (item.likelihood, _distance(item.cell, given_up)))
                found.append((given_up, nearest))
        if found:
            return sorted(found, key=lambda item: item[1][0].likelihood)
    return []


def _distance(cell: Cell, constraints: Sequence[Constraint]) -> tuple[tuple[int, ...], ...]:
    """Return how far the versions of a toolchain are from those that the constraints name."""
    versions = {**cell.converter.pins, "torch": cell.exporter.torch, "python": cell.python}
    return tuple(_apart(versions.get(constraint.name, ""), constraint.versions) for constraint in constraints)


def _apart(version: str, wanted: SpecifierSet) -> tuple[int, ...]:
    try:
        ours = Version(version).release
        theirs = [Version(spec.version.removesuffix(".*")).release for spec in wanted]
    except InvalidVersion:
        return ()
    pairs = [tuple(abs(a - b) for a, b in zip_longest(ours, other, fillvalue=0)) for other in theirs]
    return min(pairs, default=())
