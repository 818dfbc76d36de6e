"""What each run found otherwise than before, with why."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, get_args

from matrix.history import CellChange, History, Kind
from matrix.history.why import Why, explain_all
from matrix.outputs.dashboard.blames import SiteBlame
from matrix.outputs.dashboard.shards import SCHEMA, Shards
from matrix.outputs.privacy import SiteCleaner
from matrix.store import RunRecord, Store
from matrix.store.parts import utc
from matrix.table.ids import CellId

# Their observations are in memory together.
_TOGETHER = 1_000

_NOTHING = Why((), False, "")


def started(run: RunRecord) -> dt.datetime:
    return utc(run.started)


def ended(run: RunRecord) -> dt.datetime | None:
    return utc(run.ended) if run.ended else None


class Changes:
    """Changes of all runs with their explanations, which cost most where much changed."""

    def __init__(self, store: Store, history: History, blames: Mapping[str, SiteBlame]) -> None:
        self._history = history
        self._blames = blames
        self._newest: dict[str, CellChange] = {}
        self._why: dict[CellChange, Why] = {}
        for run in range(len(history.runs)):
            asked = [change for change in history.changes(run) if change.kind != "new"]
            self._newest |= {change.cell: change for change in asked}
            for part in _parts(asked):
                self._why |= explain_all(store, history, part)

    def why(self, change: CellChange) -> Why:
        return self._why.get(change, _NOTHING)

    def blame(self, change: CellChange) -> str | None:
        """What was found out about it: a search made after it, where nothing has changed since."""
        found = self._blames.get(change.cell)
        if found is None or self._newest.get(change.cell) != change:
            return None
        return found.answer if found.created >= started(self._history.runs[change.run]) else None

    def counts(self, run: int) -> dict[str, int]:
        counted = Counter(change.kind for change in self._history.changes(run))
        return {**{kind: counted[kind] for kind in get_args(Kind)}, "silent": self._history.silent(run)}

    def write(self, shards: Shards, cleaner: SiteCleaner) -> None:
        """One shard for each run that changed something."""
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

    def _entry(self, change: CellChange, environments: dict[str, int]) -> dict[str, Any]:
        """`environments` are the positions of the names met so far."""
        why, cell = self.why(change), CellId.parse(change.cell)
        return {
            "cell": change.cell,
            "exporter": environments.setdefault(cell.environment_of("exporter"), len(environments)),
            "converter": environments.setdefault(cell.environment_of("converter"), len(environments)),
            "kind": change.kind,
            "before": change.before,
            "after": change.after,
            "before_run": change.before_run,
            "packages": [list(package) for package in why.packages],
            "same_environment": why.same_environment,
            "why": why.sentence,
            "blame": self.blame(change),
        }


def _parts(changes: list[CellChange]) -> Iterator[list[CellChange]]:
    left = iter(changes)
    while part := list(islice(left, _TOGETHER)):
        yield part
