"""Regressions as the site and its feed tell them."""

from __future__ import annotations

from typing import Any

from matrix.history import History, Regression
from matrix.outputs.dashboard.changes import Changes

_CELLS = 20


def title(regression: Regression) -> str:
    return f"{regression.environment}: {regression.reason or regression.title or 'not as before'}"


def first_blame(regression: Regression, changes: Changes) -> str | None:
    return next((told for change in regression.changes if (told := changes.blame(change)) is not None), None)


def documents(history: History, changes: Changes) -> list[dict[str, Any]]:
    """Those that stand, newest first. New are those of the newest run: a row that was taken out of the table is decided
    by no later one, and would be new for ever."""
    newest = len(history.runs) - 1
    return [
        {
            "key": item.key,
            "new": item.new and item.run == newest,
            "run": item.run,
            "title": title(item),
            "reason": item.reason,
            "role": item.role,
            "stage": item.stage,
            "environment": item.environment,
            "cells": list(item.cells[:_CELLS]),
            "count": len(item.cells),
            "before_run": item.before_run,
            "said": item.title,
            "why": changes.why(item.changes[0]).sentence,
            "packages": [list(package) for package in changes.why(item.changes[0]).packages],
            "blame": first_blame(item, changes),
        }
        for item in history.regressions()
    ]
