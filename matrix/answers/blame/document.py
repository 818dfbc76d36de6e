"""A blame as plain data: the JSON that `blame --format json` prints. Keys may be added, never renamed."""

from __future__ import annotations

import datetime as dt
from typing import Any

from matrix.answers.blame.questions import Attempt, Changed, Measured, Ranges, Resolved, Transition, Turn
from matrix.answers.blame.report import Story, Uncovered, accused, days, standing, uncovered
from matrix.answers.blame.text import answer

SCHEMA = 1


def document(story: Story) -> dict[str, Any]:
    """The story as JSON-ready data. Where time ran backwards (`kind` is "mended") `good_day` is later than `bad_day`,
    `before` is the good side still, and `culprits` are the packages that mended it."""
    blame = story.blame
    cure = blame.cure
    return {
        "schema": SCHEMA,
        "cell": story.cell,
        "role": story.role,
        "row": story.row,
        "run": story.run,
        "kind": blame.kind,
        "stopped": blame.stopped,
        "answer": answer(story),
        "then": {**_environment(story, blame.then), "packages": dict(sorted(blame.then.packages.items()))},
        "now": {**_environment(story, blame.now), "packages": dict(sorted(blame.now.packages.items()))},
        "transition": _transition(story, blame.transitions[0]) if blame.transitions else None,
        "uncovered": [_uncovered(story, item) for item in uncovered(story)],
        "turns": [_turn(turn) for turn in blame.turns],
        "cure": None
        if cure is None
        else {
            "ranges": _ranges(cure.ranges),
            "changes": [_changed(story, change) for change in cure.changes],
            "packages": dict(sorted(cure.environment.packages.items())),
            "cell": story.cured,
        },
        "attempts": [_attempt(attempt) for attempt in blame.attempts],
        "timeline": [_environment(story, environment) for environment in blame.timeline],
        "cost": {
            "environments_built": story.builds,
            "runs": blame.tests,
            "resolutions": blame.resolutions,
            "seconds": round(story.seconds, 1),
        },
    }


def _environment(story: Story, environment: Resolved) -> dict[str, Any]:
    return {
        "as_of": environment.recipe.as_of.isoformat(),
        "ranges": _ranges(environment.recipe.ranges),
        "digest": environment.digest,
        "solved": environment.solved,
        "explanation": environment.explanation,
        "standing": standing(story.blame, environment),
        "outcome": _measured(story.blame.outcomes.get(environment.digest)),
    }


def _measured(measured: Measured | None) -> dict[str, Any] | None:
    if measured is None:
        return None
    return {
        **measured.finding.document("verdict", "role", "stage", "reason", "title", "said"),
        "cell": measured.cell,
    }


def _transition(story: Story, transition: Transition) -> dict[str, Any]:
    good, bad = days(transition)
    return {
        "good_day": good.isoformat(),
        "bad_day": bad.isoformat(),
        "under": _ranges(transition.under),
        "skipped": transition.skipped,
        "withdrawn": [{"package": package, "version": version} for package, version in story.undated(transition)],
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
            for who in accused(story, transition)
        ],
        "changes": [_changed(story, change) for change in transition.changes],
    }


def _uncovered(story: Story, item: Uncovered) -> dict[str, Any]:
    return {
        "under": _ranges(item.under),
        "outcome": _measured(item.measured),
        "transition": _transition(story, item.transition) if item.transition else None,
        "seen_with": [
            {"package": one.package, "version": one.version, "uploaded": _day(one.uploaded)} for one in item.against
        ],
    }


def _turn(turn: Turn) -> dict[str, Any]:
    return {
        "kind": turn.kind,
        "after": turn.before.recipe.as_of.isoformat(),
        "by": turn.after.recipe.as_of.isoformat(),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "ranges": _ranges(attempt.ranges),
        "solved": attempt.environment.solved,
        "explanation": attempt.environment.explanation,
        "outcome": _measured(attempt.measured),
    }


def _changed(story: Story, change: Changed) -> dict[str, Any]:
    return {
        "package": change.package,
        "before": change.before,
        "after": change.after,
        "uploaded": {side: _day(_upload(story, change.package, getattr(change, side))) for side in ("before", "after")},
    }


def _upload(story: Story, package: str, version: str | None) -> dt.date | None:
    return None if version is None else story.uploaded.get((package, version))


def _ranges(ranges: Ranges) -> dict[str, str]:
    return dict(ranges)


def _day(day: dt.date | None) -> str | None:
    return None if day is None else day.isoformat()
