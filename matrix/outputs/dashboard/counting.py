"""Counts of verdicts: of every run, as arrays since there may be millions of entries, and of the newest results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from matrix.history import Conclusion, History
from matrix.outputs.dashboard.cells import CONVERTER_NOW, THEN, Place
from matrix.outputs.dashboard.schema import RunPair
from matrix.table.ids import NOW, RowId
from matrix.table.model import Verdict

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class VerdictCounts:
    """`by_verdict[run][verdict]` counts all cells of a run. `by_row` leaves out the cells whose export or reference
    failed; `ROW~now` is the row resolved as of the day of the run. `by_time` has (match, findings) by run, of the cells
    of then and of those of now."""

    by_verdict: list[dict[Verdict, int]]
    by_row: dict[str, list[RunPair]]
    by_time: tuple[list[tuple[int, int]], list[tuple[int, int]]]


def speaks_of_row(conclusion: Conclusion) -> bool:
    """Whether it is a finding about the converter: a failed export or reference does not count."""
    return not conclusion.finding.indeterminate and conclusion.finding.role not in ("exporter", "reference")


def count(history: History, places: Mapping[str, Place]) -> VerdictCounts:
    """Count the results of every run."""
    timelines = [history.timelines[cell] for cell in places]
    lengths = np.fromiter((len(timeline.runs) for timeline in timelines), np.int64, len(timelines))
    runs = _flat([timeline.runs for timeline in timelines])
    conclusions = _flat([timeline.conclusions for timeline in timelines])
    rows: dict[str, int] = {}
    row_of = np.fromiter((rows.setdefault(_row(place), len(rows)) for place in places.values()), np.int64)
    now_of = np.fromiter((place.time != THEN for place in places.values()), np.int64)
    row, now = np.repeat(row_of, lengths), np.repeat(now_of, lengths)

    known = history.conclusions
    good = np.array([item.finding.good for item in known], np.int64)[conclusions]
    finding = np.array([not item.finding.indeterminate for item in known], np.int64)[conclusions]
    ours = np.array([speaks_of_row(item) for item in known], np.int64)[conclusions]

    return VerdictCounts(
        _by_verdict(history, runs, conclusions),
        {name: _by_run(runs, row == number, good * ours, ours) for name, number in rows.items() if name},
        (
            _pairs(runs, len(history.runs), good * (1 - now), finding * (1 - now)),
            _pairs(runs, len(history.runs), good * now, finding * now),
        ),
    )


def _row(place: Place) -> str:
    if place.time == THEN:
        return place.converter
    return str(RowId(place.converter, NOW)) if place.time == CONVERTER_NOW else ""


def _by_verdict(history: History, runs: Integers, conclusions: Integers) -> list[dict[Verdict, int]]:
    verdicts: dict[Verdict, int] = {}
    numbers = np.array(
        [verdicts.setdefault(item.finding.verdict, len(verdicts)) for item in history.conclusions], np.int64
    )
    size = len(verdicts)
    table = np.bincount(runs * size + numbers[conclusions], minlength=len(history.runs) * size).reshape(-1, size)
    return [{verdict: int(row[place]) for verdict, place in sorted(verdicts.items()) if row[place]} for row in table]


def _by_run(runs: Integers, mine: NDArray[np.bool_], good: Integers, finding: Integers) -> list[RunPair]:
    """Return (run, match, findings) for the runs that have any of it."""
    chosen = runs[mine]
    pairs = _pairs(chosen, 0, good[mine], finding[mine])
    return [(int(run), *pairs[run]) for run in np.unique(chosen)]


def _pairs(runs: Integers, size: int, good: Integers, finding: Integers) -> list[tuple[int, int]]:
    matches = np.bincount(runs, weights=good, minlength=size)
    findings = np.bincount(runs, weights=finding, minlength=size)
    return [(int(match), int(found)) for match, found in zip(matches, findings, strict=True)]


def _flat(arrays: Sequence[Sequence[int]]) -> Integers:
    return np.concatenate([np.asarray(item, np.int64) for item in arrays]) if arrays else np.zeros(0, np.int64)


Pair = list[int]
"""[match, findings]"""


@dataclass
class RowTally:
    """The newest results of one row at its own time; failed exports and references count in `verdicts` only."""

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    total: Pair = field(default_factory=lambda: [0, 0])
    models: dict[str, Pair] = field(default_factory=dict)
    exporters: dict[tuple[str, str, int], Pair] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass
class Tally:
    """`models` has [cells, match, findings] at all times."""

    rows: dict[str, RowTally] = field(default_factory=dict)
    models: dict[str, list[int]] = field(default_factory=dict)


def tally(history: History, places: Mapping[str, Place]) -> Tally:
    """Count the newest results by row, model and exporter."""
    found = Tally()
    for cell, place in places.items():
        conclusion = history.conclusions[history.timelines[cell].newest[1]]
        model = found.models.setdefault(place.model, [0, 0, 0])
        model[0] += 1
        model[1] += conclusion.finding.good
        model[2] += not conclusion.finding.indeterminate
        row = found.rows.setdefault(place.converter, RowTally())
        if place.time != THEN:
            continue
        row.verdicts[conclusion.finding.verdict] += 1
        if not speaks_of_row(conclusion):
            continue
        for pair in (
            row.total,
            row.models.setdefault(place.model, [0, 0]),
            row.exporters.setdefault((place.exporter, place.torch, place.opset), [0, 0]),
        ):
            pair[0] += conclusion.finding.good
            pair[1] += 1
        if conclusion.finding.reason is not None:
            row.reasons[conclusion.finding.reason] += 1
    return found
