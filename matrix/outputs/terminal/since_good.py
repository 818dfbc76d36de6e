"""A run against the last run in which each of its cells matched: what is broken, since when, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from matrix.history import CellChange, History, Regression
from matrix.history.why import Why
from matrix.outputs.ci.markdown import code, prose
from matrix.store.runs import utc

SCHEMA = 1

# So many cells of one regression are named on the terminal; the other formats name all.
_NAMED = 10


@dataclass(frozen=True)
class SinceGood:
    """`history` ends with the run it is about, and has only cells of that; `whys` are of regressions and of what that
    run mended."""

    history: History
    whys: Mapping[CellChange, Why]

    @cached_property
    def regressions(self) -> list[Regression]:
        return self.history.regressions()

    @property
    def new(self) -> list[Regression]:
        return [found for found in self.regressions if found.new]

    @property
    def last(self) -> int:
        """Position of the run it is about."""
        return len(self.history.runs) - 1

    @property
    def mended(self) -> list[CellChange]:
        return [change for change in self.history.changes(self.last) if change.kind == "mended"]

    @property
    def silent(self) -> int:
        return self.history.silent(self.last)

    def conclusion(self) -> str:
        """The answer in one sentence."""
        run = self.history.runs[self.last]
        broken = sum(len(found.changes) for found in self.regressions)
        said = "no cell that matched before is broken"
        if broken:
            new = sum(len(found.changes) for found in self.new)
            said = f"{_cells(broken)} that matched before {_verb(broken)} broken, {new} of them new in this run"
        mended = f"; {_cells(len(self.mended))} mended" if self.mended else ""
        silent = f"; {_cells(self.silent)} could not be measured and say nothing" if self.silent else ""
        return f"run {run.id}: {said}{mended}{silent}"


def text(since: SinceGood) -> str:
    """For the terminal."""
    lines = [since.conclusion()]
    for heading, found in _headed(since):
        lines += ["", f"{heading}:"]
        for item in found:
            lines.append(f"  {_title(item)} ({_cells(len(item.changes))})")
            lines.append(f"    last matched in {_run(since, item.before_run)}; {_why(since, item)}")
            lines += [f"    {cell}" for cell in item.cells[:_NAMED]]
            if len(item.cells) > _NAMED:
                lines.append(f"    … and {len(item.cells) - _NAMED} more; --format json or md names all")
    if since.mended:
        lines += ["", "mended:", *(f"  {change.cell}{_behind(since, change)}" for change in since.mended)]
    return "\n".join(lines)


def markdown(since: SinceGood) -> str:
    """For an issue or a CI summary."""
    lines = [f"**{since.conclusion()}**"]
    rows = [
        (
            heading,
            cell,
            prose(_title(item)),
            f"last matched in {_run(since, item.before_run)}; {prose(_why(since, item), 600)}",
        )
        for heading, found in _headed(since)
        for item in found
        for cell in item.cells
    ]
    rows += [("mended", change.cell, "", prose(_behind(since, change), 600)) for change in since.mended]
    if rows:
        lines += ["", "| | cell | what | why |", "|---|---|---|---|"]
        lines += [f"| {heading} | {code(cell)} | {what} | {why} |" for heading, cell, what, why in rows]
    return "\n".join(lines)


def document(since: SinceGood) -> dict[str, Any]:
    """The JSON of `compare --last-good`. Keys may be added, never renamed."""
    return {
        "schema": SCHEMA,
        "run": since.history.runs[since.last].id,
        "conclusion": since.conclusion(),
        "regressions": [
            {
                "key": item.key,
                "new": item.new,
                "since": since.history.runs[item.run].id,
                "last_good": since.history.runs[item.before_run].id,
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
    run = since.history.runs[since.last]
    if since.new:
        yield f"new in run {run.id}", since.new
    if standing := [found for found in since.regressions if not found.new]:
        yield "broken before, and still", standing


def _title(item: Regression) -> str:
    place = "/".join(part for part in (item.role, item.stage) if part)
    said = ": ".join(part for part in (item.reason, item.title) if part) or "the numbers differ"
    return f"{item.environment}{', ' if place else ''}{place}: {said}"


def _run(since: SinceGood, position: int) -> str:
    run = since.history.runs[position]
    return f"run {run.id}, {utc(run.started):%Y-%m-%d}"


def _why(since: SinceGood, item: Regression) -> str:
    found = [since.whys[change] for change in item.changes if change in since.whys]
    return found[0].sentence if found else "why is not known"


def _behind(since: SinceGood, change: CellChange) -> str:
    return f"  ({since.whys[change].sentence})" if change in since.whys else ""


def _cells(count: int) -> str:
    return f"{count} cell" if count == 1 else f"{count} cells"


def _verb(count: int) -> str:
    return "is" if count == 1 else "are"
