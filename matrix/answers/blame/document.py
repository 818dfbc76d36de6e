"""The JSON that `blame --format json` prints. Keys may be added, never renamed."""

from __future__ import annotations

import datetime as dt
from typing import Any

from matrix.answers.blame.report import BlameReport, Uncovered, days, standing, suspects, uncovered
from matrix.answers.blame.text import answer
from matrix.answers.blame.types import Attempt, Changed, Measured, Resolved, Transition, Turn

SCHEMA = 1


def document(report: BlameReport) -> dict[str, Any]:
    """Return the report as JSON-ready data. If time ran backwards (`kind` is "mended"), `good_day` is later than
    `bad_day`, `before` is still the good side, and `culprits` are the packages that mended the cell.
    """
    blame = report.blame
    cure = blame.cure
    return {
        "schema": SCHEMA,
        "cell": report.cell,
        "role": report.role,
        "row": report.row,
        "run": report.run,
        "kind": blame.kind,
        "stopped": blame.stopped,
        "answer": answer(report),
        "then": {**_environment(report, blame.then), "packages": dict(sorted(blame.then.packages.items()))},
        "now": {**_environment(report, blame.now), "packages": dict(sorted(blame.now.packages.items()))},
        "transition": _transition(report, blame.transitions[0]) if blame.transitions else None,
        "uncovered": [_uncovered(report, item) for item in uncovered(report)],
        "turns": [_turn(turn) for turn in blame.turns],
        "cure": None
        if cure is None
        else {
            "ranges": dict(cure.ranges),
            "changes": [_changed(report, change) for change in cure.changes],
            "packages": dict(sorted(cure.environment.packages.items())),
            "cell": report.cured,
        },
        "attempts": [_attempt(attempt) for attempt in blame.attempts],
        "timeline": [_environment(report, environment) for environment in blame.timeline],
        "cost": {
            "environments_built": report.builds,
            "runs": blame.tests,
            "resolutions": blame.resolutions,
            "seconds": round(report.seconds, 1),
        },
    }


def _environment(report: BlameReport, environment: Resolved) -> dict[str, Any]:
    return {
        "as_of": environment.recipe.as_of.isoformat(),
        "ranges": dict(environment.recipe.ranges),
        "digest": environment.digest,
        "solved": environment.solved,
        "explanation": environment.explanation,
        "standing": standing(report.blame, environment),
        "outcome": _measured(report.blame.outcomes.get(environment.digest)),
    }


def _measured(measured: Measured | None) -> dict[str, Any] | None:
    if measured is None:
        return None
    return {**measured.finding.document("verdict", "role", "stage", "reason", "title", "said"), "cell": measured.cell}


def _transition(report: BlameReport, transition: Transition) -> dict[str, Any]:
    good, bad = days(transition)
    return {
        "good_day": good.isoformat(),
        "bad_day": bad.isoformat(),
        "under": dict(transition.under),
        "skipped": transition.skipped,
        "withdrawn": [{"package": package, "version": version} for package, version in report.undated(transition)],
        "outcome": _measured(transition.measured),
        "decided": transition.culprits is not None,
        "culprits": []
        if transition.culprits is None
        else [
            {
                "package": who.package,
                "version": who.version,
                "instead_of": who.instead_of,
                "uploaded": _day(who.uploaded),
            }
            for who in suspects(report, transition)
        ],
        "changes": [_changed(report, change) for change in transition.changes],
    }


def _uncovered(report: BlameReport, item: Uncovered) -> dict[str, Any]:
    return {
        "under": dict(item.under),
        "outcome": _measured(item.measured),
        "transition": _transition(report, item.transition) if item.transition else None,
        "seen_with": [
            {"package": one.package, "version": one.version, "uploaded": _day(one.uploaded)} for one in item.against
        ],
    }


def _turn(turn: Turn) -> dict[str, Any]:
    return {"kind": turn.kind, "after": turn.before.recipe.as_of.isoformat(), "by": turn.after.recipe.as_of.isoformat()}


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "ranges": dict(attempt.ranges),
        "solved": attempt.environment.solved,
        "explanation": attempt.environment.explanation,
        "outcome": _measured(attempt.measured),
    }


def _changed(report: BlameReport, change: Changed) -> dict[str, Any]:
    return {
        "package": change.package,
        "before": change.before,
        "after": change.after,
        "uploaded": {
            side: _day(_upload(report, change.package, getattr(change, side))) for side in ("before", "after")
        },
    }


def _upload(report: BlameReport, package: str, version: str | None) -> dt.date | None:
    return None if version is None else report.uploaded.get((package, version))


def _day(day: dt.date | None) -> str | None:
    return None if day is None else day.isoformat()
