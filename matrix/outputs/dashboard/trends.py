"""How the match rate, the duration and the use of what was stored went from run to run."""

from __future__ import annotations

from typing import Any

from matrix.history import History
from matrix.outputs.dashboard.counting import VerdictCounts
from matrix.outputs.dashboard.shards import SCHEMA
from matrix.table.ids import NOW, RowId


def trends(history: History, counts: VerdictCounts, jobs: dict[int, tuple[int, int]]) -> dict[str, Any]:
    """`jobs` are (run, cached) by position of the run."""
    by_tier: dict[str, list[list[int]]] = {}
    for run, record in enumerate(history.runs):
        for tier, (match, findings) in (
            (record.tier, counts.by_time[0][run]),
            (str(RowId(record.tier, NOW)), counts.by_time[1][run]),
        ):
            if findings:
                by_tier.setdefault(tier, []).append([run, match, findings])
    return {
        "schema": SCHEMA,
        "runs": list(range(len(history.runs))),
        "by_tier": by_tier,
        "by_row": {row: [list(item) for item in of_row] for row, of_row in sorted(counts.by_row.items())},
        "duration": [
            [run, round((record.ended - record.started).total_seconds(), 1)]
            for run, record in enumerate(history.runs)
            if record.ended is not None
        ],
        "cache": [[run, *jobs[run]] for run in range(len(history.runs))],
    }
