"""One run as plain data: the JSON that `--format json` prints, and what the other views are made of.

Keys may be added, never renamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matrix.history.report import RunReport
from matrix.history.then_and_now import BothSides
from matrix.judging.cells import CellResult

SCHEMA = 1

_FINDING = ("verdict", "role", "stage", "reason", "title", "said")


def document(report: RunReport) -> dict[str, Any]:
    """The report as JSON-ready data."""
    sides = {side.now.record.cell: side for side in report.sides}
    return {
        "schema": SCHEMA,
        "run": report.run,
        "status": report.status,
        "tier": report.tier,
        "engine": report.engine,
        "jobs": {"run": report.jobs_run, "cached": report.jobs_cached},
        "planned": report.planned,
        "resolution": report.resolution,
        "as_of": report.as_of.isoformat() if report.as_of else None,
        "cells": [
            {
                **cell(result, report.complaints.get(result.record.cell, ())),
                **({"beside": _beside(sides[result.record.cell], report)} if result.record.cell in sides else {}),
            }
            for result in report.results
        ],
        **({"unresolved": dict(report.unresolved)} if report.unresolved else {}),
        **({"drift": dict(report.drift)} if report.drift else {}),
    }


def _beside(side: BothSides, report: RunReport) -> dict[str, Any]:
    """A cell of now beside the same cell of then."""
    then = side.then.judgement if side.then else None
    return {
        "cell": side.cell,
        "moved": side.side,
        "standing": side.standing,
        "verdict": then.finding.verdict if then else None,
        "reason": then.finding.reason if then else None,
        "blame": report.blames.get(side.now.record.cell),
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
        "opset_asked": record.opset,
        "opset_written": result.opset_written,
        "converter": record.converter,
        "family": result.family.name,
        "python": result.python,
        **result.versions,
        # A family that takes the torch module names its rows by torch too.
        "torch": record.torch or result.versions.get("torch") or "",
        "distributions": result.distributions,
        "verdict": judgement.finding.verdict,
        "indeterminate": judgement.finding.indeterminate,
        **judgement.finding.document("role", "stage", "reason", "title", "said"),
        "remedies": [{"id": remedy.id, "text": remedy.text} for remedy in judgement.remedies],
        "remarks": list(judgement.remarks),
        "leg": judgement.leg,
        "metrics": judgement.metrics,
        "legs": judgement.legs,
        "artifacts": {kind: finding.document(*_FINDING) for kind, finding in judgement.artifacts.items()},
        "general": judgement.general,
        "onnx_release": result.release.model_dump() if result.release else None,
        "divergence": _divergence(result),
        "remedied": [words for _, words in result.remedied.record.changes] if result.remedied else None,
        "tried": [
            {
                "changes": [words for _, words in trial.record.changes],
                **trial.finding.document("verdict", "role", "stage", "reason", "title"),
                "metrics": trial.judgement.metrics,
                "legs": trial.judgement.legs,
                "remarks": list(trial.judgement.remarks),
            }
            for trial in result.tried
        ],
        "unexpected": list(complaints),
        "cached": result.cached,
    }
