"""Cut a plan into shards, by the time that its cells took when they were last measured."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from matrix.app.project import Project
from matrix.core.errors import UsageError
from matrix.planning import Plan
from matrix.planning.cells import Cell
from matrix.planning.shards import Costs, Exported, Partition, cut
from matrix.store import Observation, Store
from matrix.store.records import Resolution
from matrix.table.ids import CellId

# The most jobs that GitHub starts from one matrix.
MOST_SHARDS = 256

# So many cells are read at once, because their observations are large.
_TOGETHER = 2_000


def partition(
    project: Project,
    store: Store,
    plan: Plan,
    resolution: Resolution,
    as_of: dt.date | None,
    shards: int,
    run_id: str | None = None,
) -> Partition:
    """Cut all cells that a run with these options would decide; every caller gets the same cut.

    Measurements of the run `run_id` itself are ignored, so that all its shards are of one cut, even if one runs again.

    Raises UsageError for more shards than one matrix can have.
    """
    if not 1 <= shards <= MOST_SHARDS:
        raise UsageError(f"{shards} shards: choose 1 to {MOST_SHARDS}, the most jobs that one matrix starts")
    now = project.cells_of_now(plan, as_of) if as_of is not None else ()
    cells = (*(plan.cells if resolution != "now" else ()), *now)
    own = next((run.id for run in store.runs() if run.uid == run_id), None)
    return cut(cells, shards, measured(store, cells, own))


def measured(store: Store, cells: Sequence[Cell], before: int | None = None) -> Costs:
    """Return the seconds of the newest observations of these cells, older than run `before` if it is given."""
    names = sorted({name for cell in cells for name in (cell.id, str(CellId.parse(cell.id).own))})
    of_cells: dict[str, float] = {}
    of_exports: dict[Exported, float] = {}
    for start in range(0, len(names), _TOGETHER):
        newest = store.newest_cells(names[start : start + _TOGETHER], before)
        records = [record for found in newest.values() for record in found]
        seen = store.observations(
            number for item in records for number in (item.export, item.reference, item.convert) if number is not None
        )
        for record in sorted(records, key=lambda record: record.cell):
            exported = record.model, record.exporter, record.opset
            seconds = _seconds(seen.get(number or -1) for number in (record.export, record.reference))
            of_exports[exported] = max(seconds, of_exports.get(exported, 0.0))
            if record.convert is not None and (convert := seen.get(record.convert)) is not None and convert.passes:
                of_cells[record.cell] = _seconds([convert])
            elif record.convert is None:
                # Nothing could be converted, which is likely to happen again.
                of_cells[record.cell] = 0.0
    return Costs(of_cells, of_exports)


def _seconds(observations: Iterable[Observation | None]) -> float:
    return sum(record.seconds for seen in observations if seen is not None for record in seen.passes)
