"""Changes from run to run with their reasons, and the regressions that stand."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping

from matrix.history import CellChange, History, Regression
from matrix.history.causes import ChangeCause, explain_all
from matrix.outputs.dashboard.blames import SiteBlame
from matrix.outputs.dashboard.schema import SCHEMA, ChangeShape, RegressionShape, RunChanges
from matrix.outputs.dashboard.shards import Shards
from matrix.outputs.privacy import SiteCleaner
from matrix.store import RunRecord, Store
from matrix.store.runs import utc
from matrix.table.ids import CellId

# The observations of so many changes are in memory together.
_TOGETHER = 1_000
# So many cells of one regression are named.
_CELLS = 20

_NOTHING = ChangeCause((), False, "")


def started(run: RunRecord) -> dt.datetime:
    """Return the start of a run in UTC."""
    return utc(run.started)


def ended(run: RunRecord) -> dt.datetime | None:
    """Return the end of a run in UTC."""
    return utc(run.ended) if run.ended else None


class Changes:
    """The changes of all runs with their explanations, which are what costs most."""

    def __init__(self, store: Store, history: History, blames: Mapping[str, SiteBlame]) -> None:
        self._history = history
        self._blames = blames
        self._newest: dict[str, CellChange] = {}
        self._why: dict[CellChange, ChangeCause] = {}
        for run in range(len(history.runs)):
            asked = [change for change in history.changes(run) if change.kind != "new"]
            self._newest |= {change.cell: change for change in asked}
            for start in range(0, len(asked), _TOGETHER):
                self._why |= explain_all(store, history, asked[start : start + _TOGETHER])

    def why(self, change: CellChange) -> ChangeCause:
        """Return the explanation of a change."""
        return self._why.get(change, _NOTHING)

    def blame(self, change: CellChange) -> str | None:
        """Return the answer of a search made after this change, unless the cell has changed since."""
        found = self._blames.get(change.cell)
        if found is None or self._newest.get(change.cell) != change:
            return None
        return found.data["answer"] if found.created >= started(self._history.runs[change.run]) else None

    def counts(self, run: int) -> RunChanges:
        """Count the changes of a run by kind."""
        counted = Counter(change.kind for change in self._history.changes(run))
        return {
            "broke": counted["broke"],
            "mended": counted["mended"],
            "changed": counted["changed"],
            "new": counted["new"],
            "silent": self._history.silent(run),
        }

    def write(self, shards: Shards, cleaner: SiteCleaner) -> None:
        """Write a shard for each run that changed something."""
        for run in range(len(self._history.runs)):
            changes = self._history.changes(run)
            if changes:
                environments: dict[str, int] = {}
                entries = ",".join(cleaner.encoded(self._entry(change, environments)) for change in changes)
                named = cleaner.encoded(list(environments))
                shards.write_encoded(
                    f"changes/{run}",
                    f'{{"changes":[{entries}],"environments":{named},"run":{run},"schema":{SCHEMA}}}',
                )

    def _entry(self, change: CellChange, environments: dict[str, int]) -> ChangeShape:
        """Return a change; `environments` has the positions of the names met so far."""
        why, cell = self.why(change), CellId.parse(change.cell)
        return {
            "cell": change.cell,
            "exporter": environments.setdefault(cell.environment_of("exporter"), len(environments)),
            "converter": environments.setdefault(cell.environment_of("converter"), len(environments)),
            "kind": change.kind,
            "before": change.before,
            "after": change.after,
            "before_run": change.before_run,
            "packages": list(why.packages),
            "same_environment": why.same_environment,
            "why": why.sentence,
            "blame": self.blame(change),
        }


def title(regression: Regression) -> str:
    """Return a regression in one line."""
    return f"{regression.environment}: {regression.reason or regression.title or 'not as before'}"


def first_blame(regression: Regression, changes: Changes) -> str | None:
    """Return the answer of the first search made for any of its cells."""
    return next((answer for change in regression.changes if (answer := changes.blame(change)) is not None), None)


def regressions(history: History, changes: Changes) -> list[RegressionShape]:
    """Return those that stand, newest first. Only those of the newest run are new: no later run decides a row that was
    taken out of the table."""
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
            "packages": list(changes.why(item.changes[0]).packages),
            "blame": first_blame(item, changes),
        }
        for item in history.regressions()
    ]
