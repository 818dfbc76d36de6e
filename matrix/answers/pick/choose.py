"""From a model and constraints to a proven toolchain: read the model, rank, try; else make rows; else relax."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace

from packaging.version import Version

from matrix.answers.evidence import Evidence, profiles_read
from matrix.answers.evidence.derive import entry_of
from matrix.answers.pick.candidates import Candidates
from matrix.answers.pick.constraints import EXPORTERS, Constraint
from matrix.answers.pick.derived_rows import Releases, stretched
from matrix.answers.pick.ranking import Preference, Preferences, Ranked
from matrix.answers.pick.relax import relaxations
from matrix.answers.pick.request import PickRequest, ranking
from matrix.answers.pick.search import Picks, Proof
from matrix.answers.remedies.apply import Table
from matrix.app.project import Project
from matrix.app.runtime import RecordedRun
from matrix.core.errors import ConfigError, Indeterminate, LockStale
from matrix.judging.cells import CellResult
from matrix.packages.index import UploadDates
from matrix.planning.cells import Cell
from matrix.table.ids import DIRECT

# A model whose first exporter cannot write it is read with another one.
_READINGS = 3

# What is only recommended instead of what was asked for is proven too, but not at any price.
_RELAXED_TRIES = 3


@dataclass
class Picked:
    """What came of it. `ranked` is what was expected of the candidates before anything ran, `results` what ran.
    `given_up` are constraints that the `proofs` do not fulfil, because nothing was found that fulfils all. `made` are
    the rows made on the spot, each with why it cannot be installed, or ''. `asked` counts the cells that were
    asked for. `stopped`: a signal ended it."""

    ranked: list[Ranked] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    results: list[CellResult] = field(default_factory=list)
    given_up: tuple[Constraint, ...] = ()
    made: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    stopped: bool = False

    @property
    def conversions(self) -> int:
        """How often a file was really given to a converter, now or in the past."""
        tried = [trial for result in self.results for trial in (result, *result.tried)]
        return sum(trial.convert is not None and bool(trial.convert.passes) for trial in tried)


def pick(project: Project, wanted: PickRequest, run: RecordedRun, evidence: Evidence) -> Picked:
    """Try toolchains inside a run of the history, going by `evidence`. Raises what the making of locks does, where
    nothing was proven before."""
    picked = Picked()
    evidence = _with_model(project, wanted, run, evidence, picked)
    if picked.stopped:
        return picked
    picked.ranked = ranking(project, wanted, evidence)(wanted.constraints)
    within = {item.cell.id for item in picked.ranked}
    _try(picked.ranked, project, wanted, run, picked)
    if _open(picked, wanted):
        picked.made = _make_rows(project, wanted, run)
        if picked.made:
            fresh = _but(within, ranking(project, wanted, evidence))(wanted.constraints)
            within |= {item.cell.id for item in fresh}
            _try(fresh, project, wanted, run, picked)
    if _open(picked, wanted):
        others = _but(within, ranking(project, wanted, evidence))
        for given_up, ranked in relaxations(wanted.constraints, others):
            run.runtime.events.say(f"nothing satisfies all of it; without {' and '.join(map(str, given_up))}:")
            _try(ranked, project, wanted, run, picked, given_up)
            if picked.proofs:
                picked.given_up = given_up
            if not _open(picked, wanted):
                break
    return picked


def _make_rows(project: Project, wanted: PickRequest, run: RecordedRun) -> dict[str, str]:
    """Have rows made of the closest ones; row to why it cannot be installed, or ''. None where that takes an index
    that does not answer, or locks that must not be made: what is left to try needs neither."""
    try:
        rows = stretched(project.offered, project.locks, wanted.constraints, _releases(project))
        if not rows:
            return {}
        run.runtime.events.say(f"made of the closest rows: {', '.join(row.id for row in rows)}")
        return project.adopt(rows, run.runtime.events.say, not run.runtime.options.locked)
    except (LockStale, Indeterminate, ConfigError) as error:
        run.runtime.events.say(f"no rows were made: {error}")
        return {}


def _but(
    known: Set[str], ranked: Callable[[Sequence[Constraint]], list[Ranked]]
) -> Callable[[Sequence[Constraint]], list[Ranked]]:
    """Without the cells that came into question before: what fulfils all constraints fulfils fewer of them too."""
    return lambda constraints: [item for item in ranked(constraints) if item.cell.id not in known]


def _open(picked: Picked, wanted: PickRequest) -> bool:
    """Whether less than what was asked for is worth looking for."""
    return bool(wanted.constraints) and not picked.proofs and not picked.stopped and picked.asked < wanted.limit


def _with_model(
    project: Project, wanted: PickRequest, run: RecordedRun, evidence: Evidence, picked: Picked
) -> Evidence:
    """The evidence, with the model's operators read by an exporter if no earlier run has done it."""
    model = wanted.model
    if model in project.given:
        # Its name says nothing of what is in the file today. What has not changed is read and converted in no time.
        evidence = evidence.without_anything_of(model.id)
    tried: set[str] = set()
    while len(tried) < _READINGS and not any(key[0] == model.id for key in evidence.profiles):
        ranked = ranking(project, wanted, evidence)
        writers = [constraint for constraint in wanted.constraints if constraint.name in EXPORTERS]
        within = ranked(wanted.constraints) or ranked(writers) or ranked(())
        # A converter that takes the torch module itself needs no file, and none is written for it.
        readers = [item for item in within if item.cell.exporter.via != DIRECT]
        unread = [item for item in readers if item.cell.exporter.row not in tried]
        if not unread:
            break
        cell = unread[0].cell
        tried.add(cell.exporter.row)
        how = f", as {cell.exporter.id} writes it at opset {cell.opset}" if cell.exporter.writes else ""
        run.runtime.events.say(f"reading {model.id}{how}")
        if not run.run(run.runtime.locked([cell]), exports_only=True):
            picked.stopped = True
            break
        store = run.runtime.store
        written = profiles_read(store, store.cells(run.number))
        evidence = replace(evidence, profiles={**evidence.profiles, **written})
    return evidence


def _try(
    ranked: Sequence[Ranked],
    project: Project,
    wanted: PickRequest,
    run: RecordedRun,
    picked: Picked,
    given_up: tuple[Constraint, ...] = (),
) -> None:
    """Convert with one candidate after the other; what comes of it is added to `picked`."""
    candidates = Candidates(project.offered, project.locks, project.build)
    kept = [constraint for constraint in wanted.constraints if constraint not in given_up]
    left = wanted.limit - picked.asked

    def prepare(cell: Cell) -> Cell:
        return candidates.joined(cell, kept) if wanted.single and cell.exporter.writes else cell

    picks = Picks(
        ranked,
        Table(project.config, project.locks),
        wanted.prove,
        min(left, _RELAXED_TRIES) if given_up else left,
        wanted.remedy,
        prepare,
    )
    results: list[CellResult] = []
    while cells := picks.next(results):
        try:
            plan = run.runtime.locked(cells)
        except (LockStale, Indeterminate, ConfigError) as error:
            if not picks.proven(results):
                raise
            # What is proven stays, whatever becomes of the search for more.
            run.runtime.events.say(f"no further search: {error}")
            break
        if not run.run(plan):
            picked.stopped = True
            break
        results = run.results()
    picked.asked += picks.conversions
    picked.results = run.results()
    picked.proofs = _preferred(picks.proven(picked.results), wanted.prefer, run.number)


def _preferred(proofs: list[Proof], preference: Preference, run: int) -> list[Proof]:
    """By what was measured of them, now that it was."""
    key = Preferences([entry_of(proof.result, run) for proof in proofs]).key(preference)
    return sorted(proofs, key=lambda proof: key(proof.cell))


def _releases(project: Project) -> Releases:
    dates = UploadDates(project.settings)

    def releases(package: str) -> dict[Version, dt.date]:
        """Raises Indeterminate where the index does not answer."""
        return {version: date for version, date in dates.of(package).items() if not version.is_prerelease}

    return releases
