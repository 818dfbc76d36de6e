"""How often files with a feature pass, from past cells and backend test cases. Pure.

A failure has one cause among the features of its file. Features that passed in another file are cleared; the others are
suspected, the more the less they work elsewhere. If the converter names an operator, only its features are suspected.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matrix.answers.operators import Numbering
from matrix.answers.operators.coverage import OF_NAMES
from matrix.answers.prediction.features import Feature
from matrix.judging.finding import Finding

Numbers = NDArray[np.intp]
Shares = NDArray[np.float64]

# Rounds in which suspicion moves from what works elsewhere to what does not.
_ROUNDS = 4

# Words of a message, but not the parts of a node's name, which contain operators too.
_WORD = re.compile(r"(?<![/\w.])[A-Za-z]\w*(?![/\w])")

# Values of attributes in a message: several of them are refused in combination.
_VALUE = re.compile(r"(\w+)=\w")

# The reason of failures that are due to the number of inputs of an operator.
_INPUT_COUNT = "node-input-count"

# The weight of a prior, in models.
_STRENGTH = 2.0


def smoothed(prior: float, good: int, bad: int) -> float:
    """Return the share of good ones, with a prior for when few were seen."""
    return (prior * _STRENGTH + good) / (_STRENGTH + good + bad)


@dataclass(frozen=True, slots=True)
class Failure:
    """The finding on a file that failed, and `of` which model or backend test case the file is."""

    finding: Finding
    of: str

    @property
    def reason(self) -> str:
        return self.finding.reason or self.finding.verdict


def suspects(features: Iterable[Feature], failure: Failure) -> tuple[Feature, ...]:
    """Return the features that may have made a file fail."""
    found, reason, said = tuple(features), failure.finding.reason, failure.finding.said
    if reason in OF_NAMES:
        return tuple(feature for feature in found if feature.kind == "writer")
    words = set(_WORD.findall(said))
    named = [feature for feature in found if feature.operator in words]
    joint = [feature for feature in named if feature.kind == "together"]
    if joint and len({*_VALUE.findall(said)}) > 1:
        return tuple(joint)
    modes = [one for one in named if one.kind in ("mode", "limit", "odd") and one.attribute in words]
    counted = [feature for feature in named if feature.kind == "odd" and reason == _INPUT_COUNT]
    return tuple(modes or counted or named or found)


class FeatureIndex(Numbering[Feature]):
    """Numbers features."""

    def numbers(self, features: Iterable[Feature]) -> Numbers:
        seen = self.seen
        return np.array([seen.setdefault(feature, len(seen)) for feature in features], dtype=np.intp)


@dataclass(frozen=True, slots=True)
class CountedTrial:
    """A file that passed (`failure` is None) or failed: then `numbers` are those of its suspects. `count` is how often
    this was seen. A `single` trial, of a test case, proves nothing if all its suspects are cleared: no model does what
    it tests."""

    numbers: Numbers
    failure: Failure | None = None
    count: int = 1
    single: bool = False


class Frequencies:
    """The probability that a file passes each feature. `priors` are the probabilities before any trial, with the weight
    of `strength` files."""

    def __init__(self, trials: Sequence[CountedTrial], priors: Shares, strength: float) -> None:
        size = len(priors)
        passed = [trial for trial in trials if trial.failure is None]
        failed = [trial for trial in trials if trial.failure is not None]
        columns, rows, times = _flat(passed)
        succeeded = np.bincount(columns, times, minlength=size)
        self._failures = [trial.failure for trial in failed if trial.failure is not None]
        columns, rows, times = _flat(failed)
        open_ = succeeded[columns] == 0
        some_open = np.bincount(rows, open_, minlength=len(failed)) > 0
        single = np.array([trial.single for trial in failed], dtype=bool)
        kept = np.where(some_open[rows], open_, ~single[rows])
        self._rows, self._columns, times = rows[kept], columns[kept], times[kept]
        self.chances = (strength * priors + succeeded) / (strength + succeeded)
        self._shares: Shares = np.zeros(len(self._rows))
        for _ in range(_ROUNDS if len(self._rows) else 0):
            doubts = np.maximum(1 - self.chances, 1e-6)[self._columns]
            self._shares = doubts / np.bincount(self._rows, doubts, minlength=len(failed))[self._rows]
            blame = np.bincount(self._columns, self._shares * times, minlength=size)
            self.chances = (strength * priors + succeeded) / (strength + succeeded + blame)

    def blamed_on(self, number: int) -> list[Failure]:
        """Return the failures that this feature causes more probably than all others together."""
        mine = (self._columns == number) & (self._shares > 0.5)
        return [self._failures[row] for row in self._rows[mine]]


def _flat(trials: Sequence[CountedTrial]) -> tuple[Numbers, Numbers, Shares]:
    """Return the features of all trials in one array; and for each the number of its trial, and the trial's count."""
    sizes = np.array([len(trial.numbers) for trial in trials], dtype=np.intp)
    rows = np.repeat(np.arange(len(trials)), sizes)
    counts = np.array([trial.count for trial in trials], dtype=np.float64)
    return np.concatenate([np.zeros(0, np.intp), *(trial.numbers for trial in trials)]), rows, counts[rows]
