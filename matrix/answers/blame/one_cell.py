"""One cell blamed: the search, its answers, and the story of it, which is stored."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from packaging.version import Version

from matrix.answers.blame.document import document
from matrix.answers.blame.loop import BlameLoop
from matrix.answers.blame.picture import picture
from matrix.answers.blame.questions import Blame, Changed
from matrix.answers.blame.report import Story, on_the_first_day
from matrix.answers.blame.search import investigate
from matrix.answers.blame.text import answer
from matrix.answers.evidence import recorded
from matrix.app.project import Project
from matrix.app.runtime import Bounds, RecordedRun, Runtime
from matrix.core.errors import ConfigError, Indeterminate, LockStale, UsageError
from matrix.environments.locks.live import LiveResolver
from matrix.history.then_and_now import BothSides
from matrix.packages.index import Releases, UploadDates
from matrix.planning.cells import Cell, cell_named
from matrix.planning.other_times import moved_cell, moved_row
from matrix.table.ids import NOW, CellId
from matrix.table.model import Row

# Pages of the index that a search reads anew only after this: it asks of the past, which does not change.
_FRESH_SECONDS = 3600


def blame_cell(
    project: Project, run: RecordedRun, name: str, now: dt.date, bounds: Bounds, good: dt.date | None = None
) -> Story:
    """Who broke, or mended, the cell `name`, which may be one of then or of now; the row whose environment moves is the
    one that moved in that, else the converter's. `good` is a day to begin with instead of the row's own.

    The story is stored under the cell of now. Raises UsageError for a cell that the table does not have, Interrupted,
    and what making locks does.
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
            f"--good {good}: {row.id} is resolved as of {then.as_of}, before which its pins were not there"
        )
    resolver = LiveResolver(project.settings, _FRESH_SECONDS)
    deadline = began + bounds.seconds if bounds.seconds is not None else None
    inquiry = BlameLoop(project, run, cell, row, then, resolver, deadline)
    blame = inquiry.conclude(investigate(good or then.as_of, now, bounds.runs))
    pages = Releases(project.settings)
    story = Story(
        cell=moved_cell(cell, moved_row(row, NOW, now, then.python)).id,
        role=then.role,
        row=row.id,
        blame=blame,
        uploaded=_uploads(blame, UploadDates(project.settings, pages)),
        withdrawn=_withdrawn(blame, pages),
        builds=len(run.counts.made) - built,
        seconds=time.monotonic() - began,
        cured=inquiry.cells.get(blame.cure.environment.digest) if blame.cure else None,
        run=run.number,
    )
    run.runtime.store.blames.add(run.number, story.cell, document(story), picture(story))
    return story


def _row(project: Project, cell: Cell, name: str) -> Row:
    if CellId.parse(name).moved != "exporter":
        return cell.converter
    rows = {row.id: row for row in project.config.exporters}
    if cell.exporter.row not in rows:
        raise UsageError(f"{name}: a file has no exporter that could have broken it")
    return rows[cell.exporter.row]


def _uploads(blame: Blame, dates: UploadDates) -> dict[tuple[str, str], dt.date]:
    """Upload dates of what is spoken of, as far as the index tells them."""
    found = {}
    for changed in _spoken_of(blame):
        for version in (changed.before, changed.after):
            if version is None:
                continue
            try:
                uploaded = dates.of(changed.package).get(Version(version))
            except Indeterminate:
                # Wheels of the user's own are on no index, and one that is silent now leaves a date out, no more.
                continue
            if uploaded is not None:
                found[changed.package, version] = uploaded
    return found


def _spoken_of(blame: Blame) -> Iterable[Changed]:
    for transition in blame.transitions:
        yield from transition.changes
    if blame.cure is not None:
        yield from blame.cure.changes
    for attempt in blame.attempts:
        for package, _ in attempt.ranges:
            yield Changed(package, blame.now.packages.get(package), attempt.environment.packages.get(package))


def _withdrawn(blame: Blame, releases: Releases) -> frozenset[tuple[str, str]]:
    """Releases that the first environment has and a resolution made today would not choose."""
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
    """Cell of now to what was found out, of those that are of another verdict now than then. One blamed before with the
    same environments of then and now is not blamed again, unless that was cut short or could not be told; `seconds` are
    for all together, `runs` for each.

    What is wrong with one is told in its place and takes nothing from the others. Raises Interrupted.
    """
    project, told = runtime.project, {}
    ends = time.monotonic() + bounds.seconds if bounds.seconds is not None else None
    known = runtime.store.blames.newest(side.now.record.cell for side in sides)
    with recorded(runtime, "blame", None) as run:
        for side in sides:
            cell = side.now.record.cell
            record = known.get(cell)
            if record is not None and _holds(project, side, record.story):
                told[cell] = f"{record.story['answer']} (found in run {record.run})"
                continue
            left = ends - time.monotonic() if ends is not None else None
            if left is not None and left <= 0:
                told[cell] = "not looked into: the time for it was used up"
                continue
            try:
                told[cell] = answer(blame_cell(project, run, cell, now, replace(bounds, seconds=left)))
            except (ConfigError, Indeterminate, LockStale, UsageError) as error:
                told[cell] = f"not found out: {error}"
    return told


def _holds(project: Project, side: BothSides, story: Mapping[str, Any]) -> bool:
    """Whether a stored blame answers for the environments that a cell was run in, then and now, and for its reason."""
    if story["kind"] == "indeterminate" or story.get("stopped", True):
        return False
    record = side.now.record
    row = _row(project, cell_named(project.config, project.locks, side.cell), record.cell)
    place = 0 if side.side == "exporter" else 1
    locks = project.lock_of(row), project.locks.get(project.environments_of(record)[place])
    if [lock.digest if lock else None for lock in locks] != [story["then"]["digest"], story["now"]["digest"]]:
        return False
    # A signature may have been added since.
    seen = story["now"]["outcome"]
    return not story["now"]["solved"] or (seen is not None and seen["reason"] == side.now.finding.reason)
