"""One run as plain data: the JSON that `--format json` prints, and what the other views are made of.

Keys may be added, never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matrix.results import CellResult

SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """A finished (or interrupted) run with its judged cells. `complaints` by cell id."""

    run: int
    status: str
    tier: str
    engine: str
    jobs_run: int
    jobs_cached: int
    planned: int
    results: Sequence[CellResult]
    complaints: Mapping[str, tuple[str, ...]]


def document(report: Report) -> dict[str, Any]:
    """The report as JSON-ready data."""
    return {
        "schema": SCHEMA,
        "run": report.run,
        "status": report.status,
        "tier": report.tier,
        "engine": report.engine,
        "jobs": {"run": report.jobs_run, "cached": report.jobs_cached},
        "planned": report.planned,
        "cells": [cell(result, report.complaints.get(result.record.cell, ())) for result in report.results],
    }


def _divergence(result: CellResult) -> dict[str, Any] | None:
    located = result.divergence
    if located is None:
        return None
    found = located.divergence
    return {"words": located.words} | (
        {
            "node": found.node.name,
            "index": found.node.index,
            "operator": found.node.operator,
            "opset": found.node.opset,
            "output": found.output,
            "reason": found.reason,
            "max_abs": found.max_abs,
        }
        if found
        else {}
    )


def cell(result: CellResult, complaints: Sequence[str] = ()) -> dict[str, Any]:
    """One cell as JSON-ready data."""
    record, judgement = result.record, result.judgement
    return {
        "cell": record.cell,
        "model": record.model,
        "exporter": record.exporter,
        "torch": record.torch,
        "opset_asked": record.opset,
        "opset_written": result.opset_written,
        "converter": record.converter,
        "python": result.python,
        **result.versions,
        "distributions": result.distributions,
        "verdict": judgement.verdict,
        "indeterminate": judgement.indeterminate,
        "role": judgement.role,
        "stage": judgement.stage,
        "reason": judgement.reason,
        "title": judgement.title,
        "said": judgement.said,
        "remedies": [{"id": remedy.id, "text": remedy.text} for remedy in judgement.remedies],
        "remarks": list(judgement.remarks),
        "leg": judgement.leg,
        "metrics": judgement.metrics,
        "legs": judgement.legs,
        "general": judgement.general,
        "onnx_release": result.release.model_dump() if result.release else None,
        "divergence": _divergence(result),
        "remedied": [words for _, words in result.remedied.record.changes] if result.remedied else None,
        "tried": [
            {
                "changes": [words for _, words in trial.record.changes],
                "verdict": trial.judgement.verdict,
                "role": trial.judgement.role,
                "stage": trial.judgement.stage,
                "reason": trial.judgement.reason,
                "title": trial.judgement.title,
                "metrics": trial.judgement.metrics,
                "legs": trial.judgement.legs,
                "remarks": list(trial.judgement.remarks),
            }
            for trial in result.tried
        ],
        "unexpected": list(complaints),
        "cached": result.cached,
    }
