"""The main jobs as pipelines: lock, plan, run, judge. Each step takes what the last one gave."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import replace

from matrix.answers.blame.one_cell import blame_all, blame_cell
from matrix.answers.blame.report import Story
from matrix.answers.drift import RowDrift
from matrix.answers.drift.document import document, text
from matrix.answers.drift.gather import Past, beside_then, drifts
from matrix.answers.evidence import recorded, source_of
from matrix.answers.evidence.gather import gather
from matrix.answers.pick.choose import Picked, pick
from matrix.answers.pick.request import PickRequest
from matrix.answers.remedies import RemedySearch
from matrix.answers.remedies.apply import Table
from matrix.app.project import Project
from matrix.app.runtime import Bounds, RecordedRun, RunOptions, Runtime, open_runtime
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


# Who is to blame can be asked of a cell that is good at one time and bad at the other.
_CHANGED = ("worked then, broken now", "mended")


def execute(project: Project, options: RunOptions) -> tuple[RunReport, frozenset[str]]:
    """Run the project's plan; the report and the cells the table states an expectation of. Raises what `open_runtime`
    does."""
    with open_runtime(project, options) as runtime:
        plan = project.locked_plan(runtime.events.say, allowed=not options.locked)
        for note in plan.notes:
            runtime.events.say(f"note: {note}")
        share, shard = _share(runtime, plan)
        plan, made, unresolved = resolved_now(runtime, plan, share)
        with recorded(runtime, plan.tier, len(plan.cells), shard) as run:
            runtime.store.resolutions.keep(run.number, made)
            # A shard may be empty: then there is nothing to make ready for either.
            done = not plan.cells or run.run(plan)
            searches = RemedySearch(plan, Table(project.config, project.locks), options.remedy)
            while done and (cells := searches.next(run.results())):
                try:
                    part = project.further(plan, cells, runtime.events.say, allowed=not options.locked)
                except (LockStale, Indeterminate, ConfigError) as error:
                    # What the plan has found stays, whatever becomes of the search.
                    runtime.events.say(f"no further search: {error}")
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
    """The report of a run of now held against then, and against the last such run. Where that was asked for, and the
    run is `done`, cells that come out otherwise than then are blamed."""
    past = Past(runtime.project, runtime.store, runtime.judge, run.number)
    report = replace(report, sides=beside_then(past, report.results))
    found: tuple[RowDrift, ...] | None = None
    try:
        found = drifts(past, made, report.results, report.unresolved)
        # Before anybody is blamed: that takes long, and may be ended.
        runtime.store.keep_drift(run.number, document(found))
    except Indeterminate as error:
        # What was measured does not depend on it, and the next report tells what this one would have.
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
    """The cells of the shard that was asked for, by id, and what tells it from the others; None for the whole plan. Cut
    before anything is resolved: what one machine cannot resolve must not move the cells of another."""
    options = runtime.options
    if options.shard is None:
        return None, None
    index, of = options.shard
    whole = partition(runtime.project, runtime.store, plan, options.resolution, options.as_of, of, options.run_id)
    shard = whole.shards[index - 1]
    runtime.events.say(
        f"shard {shard.name}: {len(shard.cells)} of {whole.whole} cells, about {shard.seconds / 60:.0f} min"
        if shard.cells
        else f"shard {shard.name} is empty: the {whole.whole} cells of the plan are in others"
    )
    return frozenset(cell.id for cell in shard.cells), whole.part(shard)


def resolved_now(
    runtime: Runtime, plan: Plan, share: frozenset[str] | None = None
) -> tuple[Plan, list[Lock], dict[str, str]]:
    """The plan with cells of the resolutions that were asked for, of those only the ones in `share`; the locks of now,
    which are made anew every time, for what was there yesterday may be gone today; and by environment why it could not
    be resolved, which says nothing about it and leaves its cells out. Raises what making locks of then does."""
    options, project = runtime.options, runtime.project

    def shared(cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
        return cells if share is None else tuple(cell for cell in cells if cell.id in share)

    if options.as_of is None:
        return replace(plan, cells=shared(plan.cells)), [], {}
    began = time.monotonic()
    cells = project.cells_of_now(plan, options.as_of)
    if young := younger(plan.cells, cells):
        runtime.events.say(f"note: younger than {options.as_of}, so without a now: {', '.join(young)}")
    if not cells and options.resolution == "now":
        raise NothingSelected(f"every row that was selected is younger than {options.as_of}; name a later --as-of")
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
    """Find and prove a toolchain for a model; and the run that did it. Raises what `open_runtime` and locking do."""
    with open_runtime(project, options) as runtime:
        with recorded(runtime, "pick", None) as run:
            picked = pick(project, wanted, run, gather(project, source_of(runtime), wanted.model.id))
        return picked, runtime.store.run(run.number)


def blame(
    project: Project, options: RunOptions, cell: str, now: dt.date, bounds: Bounds, good: dt.date | None = None
) -> Story:
    """Who broke a cell. Raises what `open_runtime` and `blame_cell` do."""
    # A slip of the pen leaves no run behind.
    cell_named(project.config, project.locks, str(CellId.parse(cell).own))
    with open_runtime(project, options) as runtime, recorded(runtime, "blame", None) as run:
        return blame_cell(project, run, cell, now, bounds, good)


def read_models(project: Project, options: RunOptions, cells: Sequence[Cell]) -> bool:
    """Export the models of these cells, or look into their files, and convert nothing; False where it was stopped.
    What was found is in the history of the store. Raises what `open_runtime` does."""
    with open_runtime(project, options) as runtime, recorded(runtime, "read", 0) as run:
        return run.run(runtime.locked(cells), exports_only=True)


def measure_coverage(project: Project, options: RunOptions, rows: Sequence[str]) -> tuple[dict[str, Observation], bool]:
    """Operator coverage of converter rows, row to observation, and whether the run came to its end. What is stored
    for a row's environment is not measured again. Raises what `open_runtime` does, and UsageError for
    an unknown row."""
    outdated = stale(project.requests(rows), project.locks)
    with open_runtime(project, options) as runtime:
        if outdated:
            project.refresh(outdated, runtime.events.say, allowed=not options.locked)
        with recorded(runtime, "coverage", 0) as run:
            found = run.cover(list(rows))
        return found, run.done
