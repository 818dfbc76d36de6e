"""In which order toolchains are tried: likely ones first, and among equally likely ones what the user prefers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from typing import Literal

from packaging.version import Version

from matrix.answers.evidence import Entry
from matrix.answers.prediction import Prediction
from matrix.families import family_of
from matrix.planning.cells import Cell

Preference = Literal["newest", "smallest", "fastest", "most-accurate"]
Key = tuple[float, ...]

# Below each of these a toolchain is another class of likely: a preference must not outweigh a failure to come.
_LIKELY = (0.9, 0.75, 0.5, 0.2)


@dataclass(frozen=True)
class Ranked:
    """A candidate with what is expected of it."""

    cell: Cell
    prediction: Prediction

    @property
    def likelihood(self) -> int:
        """The class of its probability: 0 is the best."""
        return sum(self.prediction.probability < bound for bound in _LIKELY)

    def less(self, share: float) -> Ranked:
        """With that share of its probability."""
        if share == 1:
            return self
        return replace(self, prediction=replace(self.prediction, probability=self.prediction.probability * share))


def rank(cells: Iterable[Cell], predict: Callable[[Cell], Prediction], prefer: Callable[[Cell], Key]) -> list[Ranked]:
    """Best first. `prefer` gives what is better a smaller key."""
    ranked = [Ranked(cell, predict(cell)) for cell in cells]
    return sorted(ranked, key=lambda item: (item.likelihood, *prefer(item.cell), -item.prediction.probability))


class Preferences:
    """Keys of cells by what was measured of their environments with any model."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries

    @cached_property
    def _sizes(self) -> dict[str, float]:
        found = {entry.converter: entry.converter_mb for entry in self._entries if entry.converter_mb is not None}
        return found | {entry.exporter: entry.exporter_mb for entry in self._entries if entry.exporter_mb is not None}

    @cached_property
    def _times(self) -> dict[str, float]:
        return _relative(self._matched, lambda entry: entry.inference_seconds)

    @cached_property
    def _margins(self) -> dict[str, float]:
        return _relative(self._matched, lambda entry: entry.margin)

    @property
    def _matched(self) -> list[Entry]:
        return [entry for entry in self._entries if entry.finding.verdict == "match"]

    def key(self, preference: Preference) -> Callable[[Cell], Key]:
        """What was never measured comes last."""
        return {
            "newest": _newest,
            "smallest": lambda cell: (self.megabytes(cell), *_newest(cell)),
            "fastest": lambda cell: (self._times.get(cell.converter.id, math.inf), *_newest(cell)),
            "most-accurate": lambda cell: (-self._margins.get(cell.converter.id, -math.inf), *_newest(cell)),
        }[preference]

    def megabytes(self, cell: Cell) -> float:
        """Disk of both environments; infinite where one was never measured."""
        sides = [cell.converter.id, *([cell.exporter.id] if cell.exporter.writes else [])]
        return sum(self._sizes.get(side, math.inf) for side in sides)


def _relative(entries: Sequence[Entry], value: Callable[[Entry], float | None]) -> dict[str, float]:
    """{converter: median over the models of its value ÷ the median of all converters with that model}: what models
    differ in among each other does not count."""
    by_model: dict[str, list[float]] = {}
    for entry in entries:
        if (found := value(entry)) is not None and found > 0:
            by_model.setdefault(entry.model, []).append(found)
    usual = {model: median(values) for model, values in by_model.items()}
    shares: dict[str, list[float]] = {}
    for entry in entries:
        if (found := value(entry)) is not None and found > 0:
            shares.setdefault(entry.converter, []).append(found / usual[entry.model])
    return {converter: median(values) for converter, values in shares.items()}


def _newest(cell: Cell) -> Key:
    """The newest packages of the converter's family, that which a user came for first, then torch; then the highest
    opset, the exporter's newest form."""
    order = family_of(cell.converter).order
    versions = [*(cell.converter.pins.get(package, "") for package in order), cell.exporter.torch]
    return (*(number for version in versions for number in _descending(version)), -cell.opset)


def _descending(version: str) -> tuple[int, int, int]:
    release = (*(Version(version).release if version else ()), 0, 0, 0)
    return -release[0], -release[1], -release[2]
