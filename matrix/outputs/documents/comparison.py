"""Two runs side by side as JSON-ready data, as `compare --format json` prints it.

Keys may be added, never renamed.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from matrix.history.causes import explain_between
from matrix.history.comparison import CellPair, RunComparison

SCHEMA = 1


def document(comparison: RunComparison) -> dict[str, Any]:
    """Return the comparison as JSON-ready data."""
    compared, identical = comparison.files
    return {
        "schema": SCHEMA,
        "answer": comparison.answer,
        "conclusion": conclusion(comparison),
        "runs": [
            {
                "run": run.id,
                # Some databases drop the time zone; UTC is what is stored.
                "started": run.started.replace(tzinfo=run.started.tzinfo or dt.UTC).isoformat(),
                "status": run.status,
                "tier": run.tier,
                "engine": run.engine,
                "jobs": {"run": run.jobs_run, "cached": run.jobs_cached},
                "planned": run.planned,
                "cells": len(comparison.pairs) + len(lone),
                "only_here": list(lone),
            }
            for run, lone in zip(comparison.runs, comparison.lone, strict=True)
        ],
        "counts": {
            "equal": comparison.states["equal"],
            "unavailable_in_both": comparison.unavailable,
            "differ": comparison.states["differs"],
            "regressed": comparison.regressed,
            "mended": comparison.mended,
            "not_comparable": comparison.states["not-comparable"],
            "only_in_one": sum(map(len, comparison.lone)),
            "same_observations": comparison.repeated,
        },
        "files": {"compared": compared, "identical": identical},
        "largest": {name: _largest(comparison, name) for name in ("max_abs", "tightest")},
        "cells": [_cell(pair) for pair in comparison.pairs],
    }


def _largest(comparison: RunComparison, metric: str) -> dict[str, Any] | None:
    found = comparison.largest(metric)
    if found is None:
        return None
    pair, arrays, _ = found
    return {"cell": pair.cell, "file": arrays.file, "value": arrays.leg.metrics[metric] if arrays.leg else None}


def _why(pair: CellPair) -> dict[str, Any]:
    found = explain_between(pair.one, pair.two)
    return {
        "sentence": found.sentence,
        "packages": [list(package) for package in found.packages],
        "same_environment": found.same_environment,
    }


def _cell(pair: CellPair) -> dict[str, Any]:
    return {
        "cell": pair.cell,
        "state": pair.state,
        "conclusions": [
            j.finding.document("verdict", "role", "stage", "reason") for j in (pair.one.judgement, pair.two.judgement)
        ],
        "change": change_of(pair),
        "why": None if pair.state != "differs" or pair.same_conclusion else _why(pair),
        "same_observations": pair.same_observations,
        "arrays": [
            {
                "file": arrays.file,
                "identical": arrays.leg is None,
                "reason": arrays.reason,
                "detail": arrays.leg.detail if arrays.leg else "",
                "metrics": arrays.leg.metrics if arrays.leg else {},
            }
            for arrays in pair.arrays
        ],
        "arrays_in_one_run": [{"file": file, "run": run} for file, run in pair.lone],
    }


def conclusion(comparison: RunComparison) -> str:
    """Return the answer in one sentence."""
    one, two = (run.id for run in comparison.runs)
    cells, states, unavailable = len(comparison.pairs), comparison.states, comparison.unavailable
    lone = sum(map(len, comparison.lone))
    if comparison.answer == "different":
        apart = f", {lone} cells are in only one of them" if lone and not comparison.common else ""
        broken = f", {comparison.regressed} of which no longer match" if comparison.regressed else ""
        return f"runs {one} and {two} differ: {states['differs']} of {cells} common cells{broken}{apart}"
    if comparison.answer == "equal":
        which = f"{cells} common cells" + (f", {unavailable} of them unavailable in both" if unavailable else "")
        return f"runs {one} and {two} agree: verdict, stage, reason and numbers of all {which}"
    doubts = [
        (states["not-comparable"], "cells cannot be compared"),
        (sum(comparison.unreached) * (not comparison.common), "planned cells were not reached"),
        (unavailable, "cells are unavailable in both"),
    ]
    why = ", ".join(f"{count} {what}" for count, what in doubts if count)
    return f"runs {one} and {two} show no difference, but cannot be called equal: {why}; run the missing cells"


def change_of(pair: CellPair) -> str | None:
    """Return the change from the first run to the second in one word; None if there is none, or it is unknown."""
    if pair.regressed:
        return "broke"
    if pair.mended:
        return "mended"
    return "changed" if pair.evidence and not pair.same_conclusion else None
