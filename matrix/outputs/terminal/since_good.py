"""A run compared with the last run in which each of its cells matched: what is broken, since when, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matrix.history import CellChange, Regression
from matrix.history.since_good import SinceGood
from matrix.outputs.ci.markdown import code, prose
from matrix.outputs.documents.markdown import grid
from matrix.outputs.wording.words import counted
from matrix.store.parts import utc

SCHEMA = 1

# So many cells of one regression are named on the terminal; the other formats list all.
_NAMED = 10


def conclusion(since: SinceGood) -> str:
    """Return the answer in one sentence."""
    broken = sum(len(found.changes) for found in since.regressions)
    found = "no cell that matched before is broken"
    if broken:
        new = sum(len(item.changes) for item in since.new)
        found = f"{counted(broken, 'cell')} that matched before {'is' if broken == 1 else 'are'} broken"
        found += f", {new} of them new in this run"
    mended = f"; {counted(len(since.mended), 'cell')} mended" if since.mended else ""
    silent = f"; {counted(since.silent, 'cell')} could not be measured" if since.silent else ""
    return f"run {since.run.id}: {found}{mended}{silent}"


def text(since: SinceGood) -> str:
    """Return the comparison for the terminal."""
    lines = [conclusion(since)]
    for heading, found in _headed(since):
        lines += ["", f"{heading}:"]
        for item in found:
            lines.append(f"  {_title(item)} ({counted(len(item.changes), 'cell')})")
            lines.append(f"    last matched in {_run(since, item.before_run)}; {_why(since, item)}")
            lines += [f"    {cell}" for cell in item.cells[:_NAMED]]
            if len(item.cells) > _NAMED:
                lines.append(f"    … and {len(item.cells) - _NAMED} more; --format json or md lists all")
    if since.mended:
        lines += ["", "mended:", *(f"  {change.cell}{_behind(since, change)}" for change in since.mended)]
    return "\n".join(lines)


def markdown(since: SinceGood) -> str:
    """Return the comparison for an issue or a CI summary."""
    rows = [
        (
            heading,
            code(cell),
            prose(_title(item)),
            f"last matched in {_run(since, item.before_run)}; {prose(_why(since, item), 600)}",
        )
        for heading, found in _headed(since)
        for item in found
        for cell in item.cells
    ]
    rows += [("mended", code(change.cell), "", prose(_behind(since, change), 600)) for change in since.mended]
    lines = ["", *grid(("", "cell", "what", "why"), rows)] if rows else []
    return "\n".join([f"**{conclusion(since)}**", *lines])


def document(since: SinceGood) -> dict[str, Any]:
    """Return the JSON of `compare --last-good`. Keys may be added, never renamed."""
    runs = since.history.runs
    return {
        "schema": SCHEMA,
        "run": since.run.id,
        "conclusion": conclusion(since),
        "regressions": [
            {
                "key": item.key,
                "new": item.new,
                "since": runs[item.run].id,
                "last_good": runs[item.before_run].id,
                "role": item.role,
                "environment": item.environment,
                "stage": item.stage,
                "reason": item.reason,
                "title": item.title,
                "why": _why(since, item),
                "cells": list(item.cells),
            }
            for item in since.regressions
        ],
        "mended": [change.cell for change in since.mended],
        "indeterminate": since.silent,
    }


def _headed(since: SinceGood) -> Iterator[tuple[str, list[Regression]]]:
    if since.new:
        yield f"new in run {since.run.id}", since.new
    if standing := [found for found in since.regressions if not found.new]:
        yield "still broken", standing


def _title(item: Regression) -> str:
    place = "/".join(part for part in (item.role, item.stage) if part)
    reason = ": ".join(part for part in (item.reason, item.title) if part) or "the numbers differ"
    return f"{item.environment}{', ' if place else ''}{place}: {reason}"


def _run(since: SinceGood, position: int) -> str:
    run = since.history.runs[position]
    return f"run {run.id}, {utc(run.started):%Y-%m-%d}"


def _why(since: SinceGood, item: Regression) -> str:
    found = since.why(item)
    return found.sentence if found else "cause unknown"


def _behind(since: SinceGood, change: CellChange) -> str:
    return f"  ({since.whys[change].sentence})" if change in since.whys else ""
