"""What the newest results come to, by row, model and exporter, for pages that count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from matrix.history import History
from matrix.outputs.dashboard.cells import THEN, Place
from matrix.outputs.dashboard.counting import speaks_of_row

Pair = list[int]
"""[match, findings]"""


@dataclass
class RowTally:
    """Of one row at its own time; what its exporters or the reference failed at counts in `verdicts` alone."""

    verdicts: Counter[str] = field(default_factory=Counter)
    total: Pair = field(default_factory=lambda: [0, 0])
    models: dict[str, Pair] = field(default_factory=dict)
    exporters: dict[tuple[str, str, int], Pair] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass
class Tally:
    """`models` are [cells, match, findings], of all times."""

    rows: dict[str, RowTally] = field(default_factory=dict)
    models: dict[str, list[int]] = field(default_factory=dict)


def tally(history: History, places: Mapping[str, Place]) -> Tally:
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
