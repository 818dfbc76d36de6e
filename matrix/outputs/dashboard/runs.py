"""Runs as the site lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matrix.history import History
from matrix.outputs.dashboard import counting
from matrix.outputs.dashboard.changes import Changes, ended, started
from matrix.outputs.privacy import Public
from matrix.store import RunRecord, Store


def document(
    history: History,
    run: int,
    counts: counting.VerdictCounts,
    changes: Changes,
    jobs: Mapping[int, tuple[int, int]],
    public: Public,
) -> dict[str, Any]:
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
        # What was planned of models that are left out is nobody's business.
        "planned": decided if public.left_out else max(record.planned, decided),
        "cells": decided,
        "jobs_run": jobs[run][0],
        "jobs_cached": jobs[run][1],
        "seconds": round((over - begun).total_seconds(), 1) if over else None,
        "counts": counts.by_verdict[run],
        "changes": changes.counts(run),
    }


def uid(run: RunRecord) -> str:
    """What a run is called in every history that it is merged into; its start, where it was given no such name."""
    return run.uid or started(run).isoformat()


def jobs_of(store: Store, history: History, public: Public) -> dict[int, tuple[int, int]]:
    """Jobs that each run ran and those that it found in the store. A run's own count speaks of models that are left
    out, so where there are any the jobs of the cells that are shown are counted instead."""
    if not public.left_out:
        return {run: (record.jobs_run, record.jobs_cached) for run, record in enumerate(history.runs)}
    positions = {record.id: run for run, record in enumerate(history.runs)}
    used: dict[int, set[int]] = {}
    for rest in store.decisions.together(list(positions)):
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
