"""One run as plain data: the JSON that `--format json` prints.

Keys may be added, never renamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import TypedDict

from matrix.history.report import RunReport
from matrix.history.then_and_now import BothSides
from matrix.judging.cells import CellResult
from matrix.judging.finding import Finding
from matrix.table.model import Role, Verdict

SCHEMA = 1


class RemedyText(TypedDict):
    id: str
    text: str


class FindingWords(TypedDict):
    verdict: Verdict
    role: Role | None
    stage: str | None
    reason: str | None
    title: str


class FindingDocument(FindingWords):
    said: str


class TrialDocument(FindingWords):
    changes: list[str]
    metrics: dict[str, Any]
    legs: dict[str, dict[str, Any]]
    remarks: list[str]


class CellDocument(FindingDocument):
    """One cell, without the versions that name its row."""

    cell: str
    model: str
    exporter: str
    opset_asked: int
    opset_written: int | None
    converter: str
    family: str
    python: str
    distributions: dict[str, str]
    indeterminate: bool
    remedies: list[RemedyText]
    remarks: list[str]
    leg: str | None
    metrics: dict[str, Any]
    legs: dict[str, dict[str, Any]]
    artifacts: dict[str, FindingDocument]
    general: bool
    onnx_release: dict[str, Any] | None
    divergence: dict[str, Any] | None
    remedied: list[str] | None
    tried: list[TrialDocument]
    unexpected: list[str]
    cached: bool


def document(report: RunReport) -> dict[str, Any]:
    """Return the report as JSON-ready data."""
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
    """Return the same cell of then, beside a cell of now."""
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
    """Return one cell as JSON-ready data."""
    record, judgement = result.record, result.judgement
    found: CellDocument = {
        "cell": record.cell,
        "model": record.model,
        "exporter": record.exporter,
        "opset_asked": record.opset,
        "opset_written": result.opset_written,
        "converter": record.converter,
        "family": result.family.name,
        "python": result.python,
        "distributions": result.distributions,
        **finding_document(judgement.finding),
        "indeterminate": judgement.finding.indeterminate,
        "remedies": [{"id": remedy.id, "text": remedy.text} for remedy in judgement.remedies],
        "remarks": list(judgement.remarks),
        "leg": judgement.leg,
        "metrics": judgement.metrics,
        "legs": judgement.legs,
        "artifacts": {kind: finding_document(finding) for kind, finding in judgement.artifacts.items()},
        "general": judgement.general,
        "onnx_release": result.release.model_dump() if result.release else None,
        "divergence": _divergence(result),
        "remedied": _changes(result.remedied) if result.remedied else None,
        "tried": [
            {
                **finding_words(trial.finding),
                "changes": _changes(trial),
                "metrics": trial.judgement.metrics,
                "legs": trial.judgement.legs,
                "remarks": list(trial.judgement.remarks),
            }
            for trial in result.tried
        ],
        "unexpected": list(complaints),
        "cached": result.cached,
    }
    # A family that takes the torch module names its rows by torch too.
    return {**found, **result.versions, "torch": record.torch or result.versions.get("torch") or ""}


def finding_words(finding: Finding) -> FindingWords:
    """Return a finding without what was raised."""
    return {
        "verdict": finding.verdict,
        "role": finding.role,
        "stage": finding.stage,
        "reason": finding.reason,
        "title": finding.title,
    }


def finding_document(finding: Finding) -> FindingDocument:
    """Return a finding as JSON-ready data."""
    return {**finding_words(finding), "said": finding.said}


def _changes(result: CellResult) -> list[str]:
    return [words for _, words in result.record.changes]
