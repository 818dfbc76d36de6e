"""All evidence there is: of the store, and of the files that come with the table."""

from __future__ import annotations

from matrix.coverage import Coverage
from matrix.coverage.kept import Coverages
from matrix.evidence import shipped
from matrix.evidence.known import Evidence
from matrix.evidence.stored import Source, read
from matrix.session import Session


def gather(session: Session, source: Source) -> Evidence:
    """Cells and operator coverage; what the store has itself comes before what was shipped."""
    place = shipped.folder(session.table)
    coverage = {**shipped.read_coverage(place), **_stored_coverage(session, source)}
    return read(source, shipped.read_cells(place), coverage)


def _stored_coverage(session: Session, source: Source) -> dict[str, Coverage]:
    """Of the converters whose locks are still those it was measured with."""
    newest = {row.id: source.store.newest("coverage", row.id) for row in session.config.converters}
    current = {
        row: observation
        for row, observation in newest.items()
        if observation is not None and row in session.locks and observation.installed == session.locks[row].packages
    }
    judged = Coverages(session.config, source.store).of(current)
    return {row: found for row, found in judged.items() if isinstance(found, Coverage)}
