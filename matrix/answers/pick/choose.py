"""Find and prove a toolchain: read the model, rank, try; if nothing is proven, derive rows; then relax constraints."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace

from packaging.version import Version

from matrix.answers.evidence import Evidence
from matrix.answers.evidence.derive import entry_of
from matrix.answers.evidence.stored import profiles_read
from matrix.answers.pick.candidates import Candidates
from matrix.answers.pick.constraints import EXPORTERS, Constraint
from matrix.answers.pick.derived_rows import Releases, derived_rows
from matrix.answers.pick.ranking import PickRequest, Ranked, Ranker, preferred, ranker, relaxations
from matrix.answers.pick.search import Picks, Proof
from matrix.answers.remedies.apply import Table
from matrix.app.project import Project
from matrix.app.runtime import RecordedRun
from matrix.core.errors import ConfigError, Indeterminate, LockStale
from matrix.judging.cells import CellResult
from matrix.packages.index import UploadDates
from matrix.planning.cells import Cell
from matrix.table.ids import DIRECT

# If an exporter cannot write the model, others are asked, this many in all.
_READINGS = 3

# A relaxation is proven too, but not at any price.
_RELAXED_TRIES = 3


@dataclass
class Picked:
    """The outcome of a search. `ranked` are the candidates as predicted before anything ran, `results` are of the cells
    that ran. `given_up` are constraints that the `proofs` do not satisfy, because nothing satisfied all. `made` maps
    derived rows to why they cannot be installed, or ''. `asked` counts the cells asked for. `unusable` says why the
    model's file fits no toolchain, '' where it may. `stopped`: a signal ended the search."""

    ranked: list[Ranked] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    results: list[CellResult] = field(default_factory=list)
    given_up: tuple[Constraint, ...] = ()
    made: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    unusable: str = ""
    stopped: bool = False

    @property
    def conversions(self) -> int:
        """The number of cells that were really converted, now or in the past."""
        tried = [trial for result in self.results for trial in (result, *result.tried)]
        return sum(trial.convert is not None and bool(trial.convert.passes) for trial in tried)

    @property
    def cause(self) -> str:
        """What stood in the way: the commonest of the causes that each toolchain failed of; where none was
        tried, what is expected of the best. '' where nothing is known."""
        ended = [(result.tried[-1] if result.tried else result).finding for result in self.results]
        causes = Counter(found.title for found in ended if not found.good and found.verdict != "infra")
        if causes:
            title, count = causes.most_common(1)[0]
            return f"{title}{f' ({count} of {causes.total()} toolchains tried)' if causes.total() > 1 else ''}"
        # One whose environment works says more about the model.
        best = sorted(self.ranked, key=lambda item: item.probability == 0)
        return next((blocker.text for item in best for blocker in item.prediction.blockers), "")


def pick(project: Project, wanted: PickRequest, run: RecordedRun, evidence: Evidence) -> Picked:
    """Try toolchains inside a run of the history, in the order that `evidence` suggests. Raises LockStale,
    Indeterminate and ConfigError if a lock cannot be made before anything is proven."""
    return _Picking(project, wanted, run).picked_by(evidence)


class _Picking:
    def __init__(self, project: Project, wanted: PickRequest, run: RecordedRun) -> None:
        self._project, self._wanted, self._run = project, wanted, run
        self._say = run.runtime.events.say
        self._picked = Picked()

    def picked_by(self, evidence: Evidence) -> Picked:
        picked, wanted = self._picked, self._wanted
        evidence = self._with_model(evidence)
        if picked.stopped or picked.unusable:
            return picked
        picked.ranked = ranker(self._project, wanted, evidence)(wanted.constraints)
        known = {item.cell.id for item in picked.ranked}
        self._try(picked.ranked)
        if self._open():
            picked.made = self._derive_rows()
            if picked.made:
                fresh = self._ranker(evidence, known)(wanted.constraints)
                known |= {item.cell.id for item in fresh}
                self._try(fresh)
        if self._open():
            for given_up, ranked in relaxations(wanted.constraints, self._ranker(evidence, known)):
                self._say(f"no toolchain satisfies all constraints; trying without {' and '.join(map(str, given_up))}")
                self._try(ranked, given_up)
                if picked.proofs:
                    picked.given_up = given_up
                if not self._open():
                    break
        return picked

    def _open(self) -> bool:
        """Whether to go on with less than was asked for."""
        picked, wanted = self._picked, self._wanted
        return bool(wanted.constraints) and not picked.proofs and not picked.stopped and picked.asked < wanted.limit

    def _ranker(self, evidence: Evidence, known: Set[str]) -> Ranker:
        """Rank without the `known` cells: a cell that satisfies all constraints also satisfies fewer of them."""
        rank = ranker(self._project, self._wanted, evidence)
        return lambda constraints: [item for item in rank(constraints) if item.cell.id not in known]

    def _derive_rows(self) -> dict[str, str]:
        """Lock rows derived from the closest ones; return why each cannot be installed, or ''. If the index does not
        answer or locks must not be made, return none: the relaxations need neither."""
        project, runtime = self._project, self._run.runtime
        try:
            rows = derived_rows(project.offered, project.locks, self._wanted.constraints, _releases(project))
            if not rows:
                return {}
            self._say(f"derived from the closest rows: {', '.join(row.id for row in rows)}")
            return project.adopt(rows, self._say, not runtime.options.locked)
        except (LockStale, Indeterminate, ConfigError) as error:
            self._say(f"no rows derived: {error}")
            return {}

    def _with_model(self, evidence: Evidence) -> Evidence:
        """Have an exporter read the model's operators if no earlier run has, and add them to the evidence."""
        wanted, run = self._wanted, self._run
        model = wanted.model
        if model in self._project.given:
            # The file may have changed since. If it has not, reading and converting it again is cached.
            evidence = evidence.without_anything_of(model.id)
        tried: set[str] = set()
        while len(tried) < _READINGS and not any(key[0] == model.id for key in evidence.profiles):
            rank = ranker(self._project, wanted, evidence)
            writers = [constraint for constraint in wanted.constraints if constraint.name in EXPORTERS]
            within = rank(wanted.constraints) or rank(writers) or rank(())
            # Families that convert the torch module itself need no file, and none is written for them.
            unread = (item.cell for item in within if item.cell.exporter.via != DIRECT)
            cell = next((cell for cell in unread if cell.exporter.row not in tried), None)
            if cell is None:
                break
            tried.add(cell.exporter.row)
            how = f", exported by {cell.exporter.id} at opset {cell.opset}" if cell.exporter.writes else ""
            self._say(f"reading {model.id}{how}")
            if not run.run(run.runtime.locked([cell]), exports_only=True):
                self._picked.stopped = True
                break
            store = run.runtime.store
            if model.is_file and (found := self._reading(cell)) is not None:
                # No toolchain is to blame, and none would do.
                self._picked.unusable = found
                break
            written = profiles_read(store, store.cells(run.number))
            evidence = replace(evidence, profiles={**evidence.profiles, **written})
        return evidence

    def _reading(self, cell: Cell) -> str | None:
        """Return why the model's file could not be read or run, None where it could."""
        runtime, read = self._run.runtime, str(replace(cell.read_id, search="read"))
        numbers = [item.export for item in runtime.store.cells(self._run.number) if item.cell == read]
        observations = runtime.store.observations(numbers).values()
        outcomes = [found for seen in observations if (found := runtime.judge.speak(seen)) is not None]
        if not outcomes or outcomes[-1].finding.verdict == "infra":
            return None
        return outcomes[-1].finding.sentence

    def _try(self, ranked: Sequence[Ranked], given_up: tuple[Constraint, ...] = ()) -> None:
        """Convert with one candidate after the other, and add the outcome to `picked`."""
        picked, wanted, run, project = self._picked, self._wanted, self._run, self._project
        candidates = Candidates(project.offered, project.locks, project.build)
        kept = [constraint for constraint in wanted.constraints if constraint not in given_up]
        left = wanted.limit - picked.asked

        def prepare(cell: Cell) -> Cell:
            return candidates.joined(cell, kept) if wanted.single and cell.exporter.writes else cell

        limit = min(left, _RELAXED_TRIES) if given_up else left
        table = Table(project.config, project.locks)
        picks = Picks(ranked, table, wanted.prove, limit, wanted.remedy, prepare)
        results: list[CellResult] = []
        while cells := picks.next(results):
            try:
                plan = run.runtime.locked(cells)
            except (LockStale, Indeterminate, ConfigError) as error:
                if not picks.proven(results):
                    raise
                # Proofs stay, even if the search for more of them fails.
                self._say(f"no further search: {error}")
                break
            if not run.run(plan):
                picked.stopped = True
                break
            results = run.results()
        picked.asked += picks.conversions
        picked.results = run.results()
        proofs = picks.proven(picked.results)
        # In the order of the user's preference, now that the toolchains were measured with this model.
        key = preferred(wanted.prefer, [entry_of(proof.result, run.number) for proof in proofs])
        picked.proofs = sorted(proofs, key=lambda proof: key(proof.cell))


def _releases(project: Project) -> Releases:
    dates = UploadDates(project.settings)

    def releases(package: str) -> dict[Version, dt.date]:
        """Raises Indeterminate if the index does not answer."""
        return {version: date for version, date in dates.of(package).items() if not version.is_prerelease}

    return releases
