"""How often files with a feature get through, from past cells and backend test cases. Pure.

A failure has one cause among the features of its file. Whatever got through in another file is cleared; among the
rest, those are suspected most that work least elsewhere. Where the converter itself names an operator, only that is
suspected.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matrix.answers.operators.coverage import OF_NAMES
from matrix.answers.prediction.features import Feature
from matrix.judging.finding import Finding

Numbers = NDArray[np.intp]
Shares = NDArray[np.float64]

# Rounds in which suspicion moves from what works elsewhere to what does not.
_ROUNDS = 4

# Words of a message, without the parts of a node's name, which hold operators too.
_WORD = re.compile(r"(?<![/\w.])[A-Za-z]\w*(?![/\w])")

# Values of attributes that a message names: several mean that they do not go together.
_VALUE = re.compile(r"(\w+)=\w")

# Reasons that lie in how an exporter writes, whatever it is that is written.
_WRITERS = OF_NAMES

# Reasons that lie in how many inputs an operator is given.
_COUNTS = frozenset({"node-input-count"})


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with a file, and with which: a model or a backend test case."""

    finding: Finding
    of: str

    @property
    def reason(self) -> str:
        return self.finding.reason or self.finding.verdict


def suspects(features: Iterable[Feature], failure: Failure) -> tuple[Feature, ...]:
    """The features that may have made a file fail."""
    found = tuple(features)
    if failure.finding.reason in _WRITERS:
        return tuple(feature for feature in found if feature.kind == "writer")
    words = set(_WORD.findall(failure.finding.said))
    named = tuple(feature for feature in found if feature.operator in words)
    if len(set(_VALUE.findall(failure.finding.said))) > 1 and (
        joint := tuple(f for f in named if f.kind == "together")
    ):
        return joint
    told = tuple(
        feature for feature in named if feature.kind in ("mode", "limit", "odd") and feature.attribute in words
    )
    counted = tuple(feature for feature in named if feature.kind == "odd" and failure.finding.reason in _COUNTS)
    return told or counted or named or found


class FeatureIndex:
    """Features by number."""

    def __init__(self) -> None:
        self.features: list[Feature] = []
        self._numbers: dict[Feature, int] = {}

    def numbers(self, features: Iterable[Feature]) -> Numbers:
        known = self._numbers
        for feature in features:
            if feature not in known:
                known[feature] = len(self.features)
                self.features.append(feature)
        return np.array([known[feature] for feature in features], dtype=np.intp)


@dataclass(frozen=True, slots=True)
class CountedTrial:
    """A file that got through (`failure` None), or failed: then `numbers` are those of its suspects. `count` is how
    many times that was seen. A case that is `single` tells nothing where all its suspects are cleared: it is about
    something no model does."""

    numbers: Numbers
    failure: Failure | None = None
    count: int = 1
    single: bool = False


class Frequencies:
    """For each feature how likely a file gets past it. `priors` is what is thought of each before, worth `strength`
    files."""

    def __init__(self, trials: Sequence[CountedTrial], priors: Shares, strength: float) -> None:
        size = len(priors)
        passed = [trial for trial in trials if trial.failure is None]
        failed = [trial for trial in trials if trial.failure is not None]
        columns, rows = _flat(passed)
        self.succeeded = np.bincount(columns, _counts(passed)[rows], minlength=size)
        self._failures = [trial.failure for trial in failed if trial.failure is not None]
        columns, rows = _flat(failed)
        open_ = self.succeeded[columns] == 0
        some_open = np.bincount(rows, open_, minlength=len(failed)) > 0
        single = np.array([trial.single for trial in failed], dtype=bool)
        kept = np.where(some_open[rows], open_, ~single[rows])
        self._rows, self._columns = rows[kept], columns[kept]
        self.chances = (strength * priors + self.succeeded) / (strength + self.succeeded)
        times = _counts(failed)[self._rows]
        self._shares: Shares = np.zeros(len(self._rows))
        for _ in range(_ROUNDS if len(self._rows) else 0):
            doubts = np.maximum(1 - self.chances, 1e-6)[self._columns]
            self._shares = doubts / np.bincount(self._rows, doubts, minlength=len(failed))[self._rows]
            blame = np.bincount(self._columns, self._shares * times, minlength=size)
            self.chances = (strength * priors + self.succeeded) / (strength + self.succeeded + blame)

    def blamed_on(self, number: int) -> list[Failure]:
        """Failures that this feature is more likely the cause of than all others together."""
        mine = (self._columns == number) & (self._shares > 0.5)
        return [self._failures[row] for row in self._rows[mine]]


def _flat(trials: Sequence[CountedTrial]) -> tuple[Numbers, Numbers]:
    """The features of all of them in one array, and to which trial each belongs."""
    if not trials:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    rows = np.repeat(np.arange(len(trials)), [len(trial.numbers) for trial in trials])
    return np.concatenate([trial.numbers for trial in trials]), rows


def _counts(trials: Sequence[CountedTrial]) -> Shares:
    return np.array([trial.count for trial in trials], dtype=np.float64)


def kind_priors(features: Iterable[Feature], kinds: Mapping[str, float]) -> Shares:
    """What is thought of features that nothing is known of."""
    return np.array([kinds[feature.kind] for feature in features])
