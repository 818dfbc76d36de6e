"""All evidence there is: of the store, and of the files that come with the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.answers.evidence import shipped
from matrix.answers.evidence.known import Evidence
from matrix.answers.evidence.stored import EvidenceSource, read
from matrix.answers.operators import Coverage

if TYPE_CHECKING:
    from matrix.app.project import Project


def gather(project: Project, source: EvidenceSource, model: str | None = None) -> Evidence:
    """Cells and operator coverage, of `model` all there is; what the store has itself comes before what was shipped."""
    place = shipped.folder(project.table)
    own = _stored_coverage(source)
    coverage = {**shipped.read_coverage(place, but=own), **own}
    return read(source, shipped.read_cells(place), coverage, model)


def look_up(project: Project, url: str | None, model: str | None = None) -> Evidence:
    """The evidence of a project whose store, at `url` or in its state folder, nobody has open."""
    store = project.state.open_store(url)
    try:
        return gather(project, EvidenceSource(store, project.config, project.locks), model)
    finally:
        store.close()


def _stored_coverage(source: EvidenceSource) -> dict[str, Coverage]:
    """Of the converters whose locks are still those it was measured with."""
    rows = {row.id for row in source.config.converters} & source.locks.keys()
    current = {
        row: observation
        for row, observation in source.store.newest("coverage").items()
        if row in rows and observation.installed == source.locks[row].packages
    }
    if not current:
        return {}
    from matrix.answers.operators.stored import Coverages

    judged = Coverages(source.config, source.store).of(current)
    return {row: found for row, found in judged.items() if isinstance(found, Coverage)}
