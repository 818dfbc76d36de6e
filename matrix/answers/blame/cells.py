"""Blame a cell, or all cells that changed since then, and store the reports."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from packaging.version import Version

from matrix.answers.blame.document import document
from matrix.answers.blame.picture import picture
from matrix.answers.blame.report import BlameReport, on_the_first_day
from matrix.answers.blame.runner import ProbeRunner
from matrix.answers.blame.search import find_blame
from matrix.answers.blame.text import answer
from matrix.answers.blame.types import Blame, Changed
from matrix.answers.evidence.stored import recorded
from matrix.app.project import Project
from matrix.app.run_options import Bounds
from matrix.app.runtime import RecordedRun, Runtime
from matrix.core.errors import ConfigError, Indeterminate, LockStale, UsageError
from matrix.environments.locks.live import LiveResolver
from matrix.history.then_and_now import BothSides
from matrix.packages.index import Releases, UploadDates
from matrix.planning.cells import Cell, cell_named
from matrix.planning.other_times import moved_cell, moved_row
from matrix.table.ids import NOW, CellId
from matrix.table.model import Row

# Index pages are read again only after this, because a search is about the past.
_FRESH_SECONDS = 3600


def blame_cell(
    project: Project, run: RecordedRun, name: str, now: dt.date, bounds: Bounds, good: dt.date | None = None
) -> BlameReport:
    """Find why the cell `name` broke or was mended. It may be a cell of then or of now; the row that moved in it is the
    one whose environment moves, by default the converter's. `good` replaces the row's own date as the first day.

    The report is stored under the cell of now. Raises UsageError for a cell that the table does not have and for days
    out of order, Interrupted, LockStale, and Indeterminate and ConfigError from making locks.
    """
    began, built = time.monotonic(), len(run.counts.made)
    cell = cell_named(project.config, project.locks, str(CellId.parse(name).own))
    row = _row(project, cell, name)
    run.runtime.locked((cell,))
    then = project.lock_of(row)
    assert then is not None
    if now <= then.as_of:
        raise UsageError(f"--bad {now}: {row.id} is resolved as of {then.as_of}; name a later day")
    if good is not None and good < then.as_of:
        raise UsageError(
            f"--good {good}: {row.id} is resolved as of {then.as_of}, when its pins were released; name a later day"
        )
    resolver = LiveResolver(project.settings, _FRESH_SECONDS)
    deadline = began + bounds.seconds if bounds.seconds is not None else None
    runner = ProbeRunner(project, run, cell, row, then, resolver, deadline)
    blame = runner.conclude(find_blame(good or then.as_of, now, bounds.runs))
    pages = Releases(project.settings)
    report = BlameReport(
        cell=moved_cell(cell, moved_row(row, NOW, now, then.python)).id,
        role=then.role,
        row=row.id,
        blame=blame,
        uploaded=_uploads(blame, UploadDates(project.settings, pages)),
        withdrawn=_withdrawn(blame, pages),
        builds=len(run.counts.made) - built,
        seconds=time.monotonic() - began,
        cured=runner.cells.get(blame.cure.environment.digest) if blame.cure else None,
        run=run.number,
    )
    run.runtime.store.blames.add(run.number, report.cell, document(report), picture(report))
    return report


def _row(project: Project, cell: Cell, name: str) -> Row:
    if CellId.parse(name).moved != "exporter":
        return cell.converter
    rows = {row.id: row for row in project.config.exporters}
    if cell.exporter.row not in rows:
        raise UsageError(f"{name}: a model file has no exporter that could have broken it")
    return rows[cell.exporter.row]


def _uploads(blame: Blame, dates: UploadDates) -> dict[tuple[str, str], dt.date]:
    """Return the upload dates of all versions in the report, as far as the index has them."""
    found = {}
    for changed in _mentioned(blame):
        for version in (changed.before, changed.after):
            if version is None:
                continue
            try:
                uploaded = dates.of(changed.package).get(Version(version))
            except Indeterminate:
                # The user's own wheels are not on an index; without an answer just the date is missing.
                continue
            if uploaded is not None:
                found[changed.package, version] = uploaded
    return found


def _mentioned(blame: Blame) -> Iterable[Changed]:
    """Yield every package whose versions the report mentions."""
    for transition in blame.transitions:
        yield from transition.changes
    if blame.cure is not None:
        yield from blame.cure.changes
    for attempt in blame.attempts:
        for package, _ in attempt.ranges:
            yield Changed(package, blame.now.packages.get(package), attempt.environment.packages.get(package))


def _withdrawn(blame: Blame, releases: Releases) -> frozenset[tuple[str, str]]:
    """Return the releases in the first environment that a resolution made today would not choose."""
    if not any(on_the_first_day(blame, transition) for transition in blame.transitions):
        return frozenset()
    found = set()
    try:
        pages = releases.of_all(blame.then.packages)
    except Indeterminate:
        return frozenset()
    for package, version in blame.then.packages.items():
        page, release = pages.get(package), Version(version)
        if page is None or release.local or releases.settings.elsewhere(package, version):
            continue
        if page.yanked(release) or release not in page.versions:
            found.add((package, version))
    return frozenset(found)


def blame_all(runtime: Runtime, sides: Sequence[BothSides], now: dt.date, bounds: Bounds) -> dict[str, str]:
    """Blame cells whose verdict differs between then and now; return the answers by cell of now.

    A cell blamed before with the same environments of then and now is not blamed again, unless that search was cut
    short or had no result. `bounds.seconds` is for all together, `bounds.runs` for each. An error takes the place of
    the answer. Raises Interrupted.
    """
    project, answers = runtime.project, {}
    ends = time.monotonic() + bounds.seconds if bounds.seconds is not None else None
    known = runtime.store.blames.newest(side.now.record.cell for side in sides)
    with recorded(runtime, "blame", None) as run:
        for side in sides:
            cell = side.now.record.cell
            record = known.get(cell)
            if record is not None and _holds(project, side, record.story):
                answers[cell] = f"{record.story['answer']} (found in run {record.run})"
                continue
            left = ends - time.monotonic() if ends is not None else None
            if left is not None and left <= 0:
                answers[cell] = "skipped: the time limit was reached"
                continue
            try:
                answers[cell] = answer(blame_cell(project, run, cell, now, replace(bounds, seconds=left)))
            except (ConfigError, Indeterminate, LockStale, UsageError) as error:
                answers[cell] = f"failed: {error}"
    return answers


def _holds(project: Project, side: BothSides, report: Mapping[str, Any]) -> bool:
    """Return whether a stored report applies to the environments and the reason that a cell has, then and now."""
    if report["kind"] == "indeterminate" or report.get("stopped", True):
        return False
    record = side.now.record
    row = _row(project, cell_named(project.config, project.locks, side.cell), record.cell)
    place = 0 if side.side == "exporter" else 1
    locks = project.lock_of(row), project.locks.get(project.environments_of(record)[place])
    if [lock.digest if lock else None for lock in locks] != [report["then"]["digest"], report["now"]["digest"]]:
        return False
    # Signatures may have changed since.
    seen = report["now"]["outcome"]
    return not report["now"]["solved"] or (seen is not None and seen["reason"] == side.now.finding.reason)
