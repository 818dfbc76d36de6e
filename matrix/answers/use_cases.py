"""The main use cases as pipelines: lock, plan, run, judge. Each step takes the result of the previous one."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import replace

from matrix.answers.blame.cells import blame_all, blame_cell
from matrix.answers.blame.report import BlameReport
from matrix.answers.drift.document import document, text
from matrix.answers.drift.gather import Past, beside_then, drifts
from matrix.answers.drift.report import RowDrift
from matrix.answers.evidence.stored import gather, recorded, source_of
from matrix.answers.pick.choose import Picked, pick
from matrix.answers.pick.ranking import PickRequest
from matrix.answers.remedies.apply import Table
from matrix.answers.remedies.search import RemedySearch
from matrix.app.project import Project
from matrix.app.run_options import Bounds, RunOptions
from matrix.app.runtime import RecordedRun, Runtime, open_runtime
from matrix.app.sharding import partition
from matrix.core.errors import ConfigError, Indeterminate, LockStale, NothingSelected
from matrix.environments.locks.keep import stale
from matrix.environments.locks.live import LiveResolver
from matrix.history.report import RunReport, report_on
from matrix.packages.lock import Lock
from matrix.planning import Plan
from matrix.planning.cells import Cell, cell_named
from matrix.planning.other_times import younger
from matrix.store import Observation, RunRecord
from matrix.table.ids import CellId

__all__ = ["Bounds", "RunOptions", "blame", "choose_toolchain", "execute", "measure_coverage", "read_models"]


# Only a cell that is good at one time and bad at the other can be blamed.
_CHANGED = ("worked then, broken now", "mended")


def execute(project: Project, options: RunOptions) -> tuple[RunReport, frozenset[str]]:
    """Run the project's plan. Return the report and the cells that have an expectation in the table. Raises StateInUse,
    EngineUnavailable, LockStale, Indeterminate, ConfigError and NothingSelected.
    """
    with open_runtime(project, options) as runtime:
        plan = project.locked_plan(runtime.events.say, allowed=not options.locked)
        for note in plan.notes:
            runtime.events.say(f"note: {note}")
        share, shard = _share(runtime, plan)
        plan, made, unresolved = resolved_now(runtime, plan, share)
        with recorded(runtime, plan.tier, len(plan.cells), shard) as run:
            runtime.store.resolutions.keep(run.number, made)
            # A shard may be empty; then nothing has to be prepared.
            done = not plan.cells or run.run(plan)
            searches = RemedySearch(plan, Table(project.config, project.locks), options.remedy)
            while done and (cells := searches.next(run.results())):
                try:
                    part = project.further(plan, cells, runtime.events.say, allowed=not options.locked)
                except (LockStale, Indeterminate, ConfigError) as error:
                    # The results of the plan are kept even if the search fails.
                    runtime.events.say(f"search stopped: {error}")
                    break
                done = run.run(part)
        order = [cell.id for cell in plan.cells]
        report, stated = report_on(
            runtime.store.run(run.number), runtime.store, runtime.judge, project.config, project.locks, order
        )
        if options.as_of is not None:
            report = _with_past(runtime, run, replace(report, unresolved=unresolved), made, done)
        return report, stated


def _with_past(runtime: Runtime, run: RecordedRun, report: RunReport, made: list[Lock], done: bool) -> RunReport:
    """Return the report of a run of now, compared with then and with the last such run. If asked for, and if the run is
    `done`, cells that changed are blamed.
    """
    past = Past(runtime.project, runtime.store, runtime.judge, run.number)
    report = replace(report, sides=beside_then(past, report.results))
    found: tuple[RowDrift, ...] | None = None
    try:
        found = drifts(past, made, report.results, report.unresolved)
        # Stored before blaming, which takes long and may be interrupted.
        runtime.store.keep_drift(run.number, document(found))
    except Indeterminate as error:
        # Results do not depend on it, and the next report includes what this one lacks.
        runtime.events.say(f"no drift report: {error}")
    options = runtime.options
    changed = [side for side in report.sides if side.standing in _CHANGED]
    if options.blame is not None and options.as_of is not None and done and changed:
        report = replace(report, blames=blame_all(runtime, changed, options.as_of, options.blame))
    if found is None:
        return report
    runtime.store.keep_drift(run.number, document(found, report.blames))
    return replace(report, drift=runtime.store.drift(run.number), drift_text=text(found))


def _share(runtime: Runtime, plan: Plan) -> tuple[frozenset[str] | None, dict[str, str | int] | None]:
    """Return the cells of the shard that was asked for, by id, and the shard's identity; None for the whole plan. Cut
    before anything is resolved: an environment that one machine cannot resolve must not move the cells of another.
    """
    options = runtime.options
    if options.shard is None:
        return None, None
    index, of = options.shard
    whole = partition(runtime.project, runtime.store, plan, options.resolution, options.as_of, of, options.run_id)
    shard = whole.shards[index - 1]
    runtime.events.say(
        f"shard {shard.name}: {len(shard.cells)} of {whole.whole} cells, about {shard.seconds / 60:.0f} min"
        if shard.cells
        else f"shard {shard.name} is empty: all {whole.whole} cells of the plan are in other shards"
    )
    return frozenset(cell.id for cell in shard.cells), whole.part(shard)


def resolved_now(
    runtime: Runtime, plan: Plan, share: frozenset[str] | None = None
) -> tuple[Plan, list[Lock], dict[str, str]]:
    """Return the plan with cells of the requested resolutions, only those in `share`; the locks of now, made anew
    because the index changes; and by environment why it could not be resolved, which leaves its cells out. Raises
    NothingSelected, LockStale, Indeterminate and ConfigError.
    """
    options, project = runtime.options, runtime.project

    def shared(cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
        return cells if share is None else tuple(cell for cell in cells if cell.id in share)

    if options.as_of is None:
        return replace(plan, cells=shared(plan.cells)), [], {}
    began = time.monotonic()
    cells = project.cells_of_now(plan, options.as_of)
    if young := younger(plan.cells, cells):
        runtime.events.say(f"note: newer than {options.as_of}, so not resolved as of now: {', '.join(young)}")
    if not cells and options.resolution == "now":
        raise NothingSelected(f"all selected rows are newer than {options.as_of}; name a later --as-of")
    cells = shared(cells)
    requests = project.take_in(cells)
    answers = dict(zip(requests, LiveResolver(project.settings).answers(requests), strict=True))
    made = [answer for answer in answers.values() if isinstance(answer, Lock)]
    failed = {request.name: str(answer) for request, answer in answers.items() if not isinstance(answer, Lock)}
    project.use(made)
    runtime.events.say(
        f"now, as of {options.as_of}: {len(made)} environments resolved in {time.monotonic() - began:.1f} s"
    )
    then = shared(plan.cells) if options.resolution == "both" else ()
    known = tuple(
        cell for cell in cells if failed.keys().isdisjoint((project.exporter_environment(cell), cell.converter.id))
    )
    return project.further(plan, (*then, *known), runtime.events.say, not options.locked), made, failed


def choose_toolchain(project: Project, options: RunOptions, wanted: PickRequest) -> tuple[Picked, RunRecord]:
    """Find and verify a toolchain for a model; return it and the run. Raises StateInUse,
    EngineUnavailable, LockStale, Indeterminate and ConfigError.
    """
    with open_runtime(project, options) as runtime:
        with recorded(runtime, "pick", None) as run:
            picked = pick(project, wanted, run, gather(project, source_of(runtime), wanted.model.id))
        return picked, runtime.store.run(run.number)


def blame(
    project: Project, options: RunOptions, cell: str, now: dt.date, bounds: Bounds, good: dt.date | None = None
) -> BlameReport:
    """Blame a cell. Raises UsageError, StateInUse, EngineUnavailable, LockStale, Indeterminate and Interrupted."""
    # Validate the id first, so that a typo does not record an empty run.
    cell_named(project.config, project.locks, str(CellId.parse(cell).own))
    with open_runtime(project, options) as runtime, recorded(runtime, "blame", None) as run:
        return blame_cell(project, run, cell, now, bounds, good)


def read_models(project: Project, options: RunOptions, cells: Sequence[Cell]) -> bool:
    """Export the models of these cells, or inspect their files, without converting; return False if interrupted.
    Results are in the history of the store. Raises StateInUse, EngineUnavailable, LockStale and Indeterminate.
    """
    with open_runtime(project, options) as runtime, recorded(runtime, "read", 0) as run:
        return run.run(runtime.locked(cells), exports_only=True)


def measure_coverage(project: Project, options: RunOptions, rows: Sequence[str]) -> tuple[dict[str, Observation], bool]:
    """Measure the operator coverage of converter rows; return observations by row, and whether the run was completed.
    Environments with a stored observation are not measured again. Raises UsageError for an unknown row,
    StateInUse, EngineUnavailable, LockStale and Indeterminate.
    """
    outdated = stale(project.requests(rows), project.locks)
    with open_runtime(project, options) as runtime:
        if outdated:
            project.refresh(outdated, runtime.events.say, allowed=not options.locked)
        with recorded(runtime, "coverage", 0) as run:
            found = run.cover(list(rows))
        return found, run.done
