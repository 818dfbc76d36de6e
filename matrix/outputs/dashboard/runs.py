"""Runs as the site lists them, and the Trends page."""

from __future__ import annotations

from collections.abc import Mapping

from matrix.history import History
from matrix.outputs.dashboard.changes import Changes, ended, started
from matrix.outputs.dashboard.counting import VerdictCounts
from matrix.outputs.dashboard.schema import SCHEMA, RunPair, RunShape, Trends
from matrix.outputs.privacy import Public
from matrix.store import RunRecord, Store
from matrix.table.ids import NOW, RowId


def document(
    history: History,
    run: int,
    counts: VerdictCounts,
    changes: Changes,
    jobs: Mapping[int, tuple[int, int]],
    public: Public,
) -> RunShape:
    """Return the run at this position; `jobs` are (run, cached) by position."""
    record = history.runs[run]
    begun, over = started(record), ended(record)
    decided = sum(counts.by_verdict[run].values())
    return {
        "id": record.id,
        "uid": uid(record),
        "started": begun.isoformat(),
        "ended": over.isoformat() if over else None,
        "status": record.status,
        "tier": record.tier,
        "engine": record.engine,
        "resolution": record.resolution,
        "as_of": record.as_of.isoformat() if record.as_of else None,
        # The number planned would tell of models that are left out.
        "planned": decided if public.left_out else max(record.planned, decided),
        "cells": decided,
        "jobs_run": jobs[run][0],
        "jobs_cached": jobs[run][1],
        "seconds": round((over - begun).total_seconds(), 1) if over else None,
        "counts": counts.by_verdict[run],
        "changes": changes.counts(run),
    }


def uid(run: RunRecord) -> str:
    """Return the run's name in every history that it is merged into; its start if it has none."""
    return run.uid or started(run).isoformat()


def jobs_of(store: Store, history: History, public: Public) -> dict[int, tuple[int, int]]:
    """Return for each run the number of jobs that it ran and that it found in the store. A run's own numbers include
    models that are left out; if there are any, the jobs of the cells that are shown are counted instead."""
    if not public.left_out:
        return {run: (record.jobs_run, record.jobs_cached) for run, record in enumerate(history.runs)}
    positions = {record.id: run for run, record in enumerate(history.runs)}
    used: dict[int, set[int]] = {}
    for rest in store.cell_history.grouped(list(positions)):
        if rest.cell in history.timelines:
            parts = {part for part in (rest.export, rest.reference, rest.convert) if part is not None}
            for number in rest.runs:
                used.setdefault(number, set()).update(parts)
    made: dict[int, tuple[int, int]] = {}
    known: dict[int, int | None] = {}
    for number, run in positions.items():
        wanted = used.get(number, set())
        known |= {key: item.run for key, item in store.observations(wanted - known.keys()).items()}
        fresh = sum(known.get(key) == number for key in wanted)
        made[run] = fresh, len(wanted) - fresh
    return made


def trends(history: History, counts: VerdictCounts, jobs: Mapping[int, tuple[int, int]]) -> Trends:
    """Return how the match rate, the duration and the use of the store changed from run to run."""
    by_tier: dict[str, list[RunPair]] = {}
    for run, record in enumerate(history.runs):
        for tier, (match, findings) in (
            (record.tier, counts.by_time[0][run]),
            (str(RowId(record.tier, NOW)), counts.by_time[1][run]),
        ):
            if findings:
                by_tier.setdefault(tier, []).append((run, match, findings))
    return {
        "schema": SCHEMA,
        "runs": list(range(len(history.runs))),
        "by_tier": by_tier,
        "by_row": counts.by_row,
        "duration": [
            (run, round((record.ended - record.started).total_seconds(), 1))
            for run, record in enumerate(history.runs)
            if record.ended is not None
        ],
        "cache": [(run, *jobs[run]) for run in range(len(history.runs))],
    }
