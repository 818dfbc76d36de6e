"""How many cells came to what, by run and by row: millions of entries, so by arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matrix.history import Conclusion, History
from matrix.outputs.dashboard.cells import CONVERTER_NOW, THEN, Place
from matrix.table.ids import NOW, RowId

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class VerdictCounts:
    """`by_verdict[run][verdict]` is over all cells of a run. Pairs (match, findings): `by_row` by run of what speaks
    of a row, that is without the cells whose export or reference failed; `by_time` by run of the cells of then and
    those of now. `ROW~now` is the row resolved as of the day of the run."""

    by_verdict: list[dict[str, int]]
    by_row: dict[str, list[tuple[int, int, int]]]
    by_time: tuple[list[tuple[int, int]], list[tuple[int, int]]]


def speaks_of_row(conclusion: Conclusion) -> bool:
    """Whether it is a finding about the converter: what its exporter or the reference failed at does not count."""
    return not conclusion.finding.indeterminate and conclusion.finding.role not in ("exporter", "reference")


def count(history: History, places: Mapping[str, Place]) -> VerdictCounts:
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
    # What moves the exporter says nothing of the converter's row of then.
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


def _by_verdict(history: History, runs: Integers, conclusions: Integers) -> list[dict[str, int]]:
    verdicts: dict[str, int] = {}
    numbers = np.array(
        [verdicts.setdefault(item.finding.verdict, len(verdicts)) for item in history.conclusions], np.int64
    )
    size = len(verdicts)
    table = np.bincount(runs * size + numbers[conclusions], minlength=len(history.runs) * size).reshape(-1, size)
    return [{verdict: int(row[place]) for verdict, place in sorted(verdicts.items()) if row[place]} for row in table]


def _by_run(runs: Integers, mine: NDArray[np.bool_], good: Integers, finding: Integers) -> list[tuple[int, int, int]]:
    """(run, match, findings) of the runs that decided any of it."""
    chosen = runs[mine]
    matches = np.bincount(chosen, weights=good[mine])
    findings = np.bincount(chosen, weights=finding[mine])
    return [(int(run), int(matches[run]), int(findings[run])) for run in np.unique(chosen)]


def _pairs(runs: Integers, size: int, good: Integers, finding: Integers) -> list[tuple[int, int]]:
    matches = np.bincount(runs, weights=good, minlength=size)
    findings = np.bincount(runs, weights=finding, minlength=size)
    return [(int(match), int(found)) for match, found in zip(matches, findings, strict=True)]


def _flat(arrays: Sequence[Sequence[int]]) -> Integers:
    return np.concatenate([np.asarray(item, np.int64) for item in arrays]) if arrays else np.zeros(0, np.int64)
