"""History read back: the cells of a run with their verdicts, judged now from what was observed then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from matrix.families import Absent, Family, family_named
from matrix.families.scheme import Scheme
from matrix.judging.compare import Tolerances
from matrix.judging.comparisons import Asked, Comparisons
from matrix.judging.finding import Finding
from matrix.judging.judge import Judgement, Leg, files_of, judge, ways_of
from matrix.judging.located import Located, locate
from matrix.judging.outcome import Outcome, in_trouble, of_pass, outcome, trouble
from matrix.judging.tolerance import Tolerance
from matrix.packages.lock import Lock
from matrix.packages.versions import minor
from matrix.store import CellRecord, Observation, PassRecord, Store
from matrix.store.records import FIRST_FAMILY
from matrix.table.ids import RowId
from matrix.table.model import Config, OnnxRelease

# Two files of arrays to compare, the first being the reference, and whether outputs go by position.
Pair = tuple[str, str, bool]


@dataclass(frozen=True)
class CellResult:
    """A cell of a run: record, observations and what is concluded from them. `distributions` names what was really
    installed under another name than in the table: {"tensorflow": "tensorflow-cpu"}.

    `family` is the converter's. `tried` are the cells that a search for remedies made of this one, `divergence` is what
    a search for the node at which the numbers part found. `release` is the converter's onnx in the table of ONNX
    releases.
    """

    record: CellRecord
    export: Observation
    reference: Observation | None
    convert: Observation | None
    judgement: Judgement
    versions: dict[str, str | None]
    distributions: dict[str, str]
    python: str
    cached: bool
    family: Family = field(default_factory=lambda: family_named(FIRST_FAMILY))
    release: OnnxRelease | None = None
    altered: tuple[Observation, ...] = ()
    tried: tuple[CellResult, ...] = ()
    divergence: Located | None = None

    @property
    def finding(self) -> Finding:
        """What the cell came to as it is."""
        return self.judgement.finding

    @property
    def observations(self) -> tuple[Observation, ...]:
        """Those that its own verdict rests on."""
        parts = (self.export, *self.altered, self.reference, self.convert)
        return tuple(part for part in parts if part is not None)

    @property
    def opset_written(self) -> int | None:
        written = self.export.facts.get("opset_written")
        return int(written) if isinstance(written, int) else None

    @property
    def remedied(self) -> CellResult | None:
        """The smallest set of changes with which this cell, which fails as it is, was seen to match."""
        if self.finding.verdict == "match":
            return None
        working = [result for result in self.tried if result.finding.verdict == "match"]
        return min(working, key=lambda result: len(result.record.changes), default=None)


class Judge:
    """Judges cells, remembering comparisons in the store by what they compare and how."""

    def __init__(self, config: Config, store: Store) -> None:
        self._store = store
        self._spoken: dict[int, Outcome | None] = {}
        self.comparisons = Comparisons(store)
        self._tolerances = {model.id: tolerances_of(config, model.id) for model in config.models}
        self._default = tolerances_of(config, "")
        self._replace = config.resolver.replace
        self._pins = {row.id: row.pins for row in config.converters}
        self._families = {row.id: row.family for row in config.converters}
        self._releases = {release.version: release for release in config.onnx}

    def speak(self, observation: Observation) -> Outcome | None:
        """What the observation says by itself; None for success."""
        key = id(observation) if observation.id is None else observation.id
        if observation.id is None or key not in self._spoken:
            told = trouble(observation)
            found = outcome(observation, self._log(told) if told is not None else "")
            if observation.id is None:
                return found
            self._spoken[key] = found
        return self._spoken[key]

    def speak_of_pass(self, observation: Observation, name: str) -> Outcome | None:
        """What one pass of an observation says by itself; None for success, and where there is no such pass."""
        record = next((record for record in observation.passes if record.name == name), None)
        if record is None:
            return None
        return of_pass(observation, record, self._log(record) if in_trouble(record) else "")

    def cells(self, records: list[CellRecord], locks: Mapping[str, Lock], run: int) -> list[CellResult]:
        """Judge the records of a run, what a search did for a cell as a part of that cell. A cell is cached where that
        run made none of its observations. `locks` tell the Python of a converter that was never reached."""
        observations = self._store.observations([number for record in records for number in record.observations])
        self.comparisons.read_ahead(
            Asked(*pair, self._tolerances.get(record.model, self._default))
            for record in records
            for pair in _pairs(record, observations, self._family(record, observations).scheme)
        )
        searched: dict[str, list[CellRecord]] = {}
        for record in records:
            if record.base is not None:
                searched.setdefault(record.base, []).append(record)
        results = []
        for record in records:
            if record.base is None:
                result = self._cell(record, observations, locks, run)
                further = searched.get(record.cell, [])
                results.append(
                    replace(
                        result,
                        tried=tuple(
                            self._cell(item, observations, locks, run, result.reference)
                            for item in further
                            if item.changes
                        ),
                        divergence=next(
                            (self._located(result, item, observations) for item in further if item.expose is not None),
                            None,
                        ),
                    )
                )
        self.keep()
        return results

    def _cell(
        self,
        record: CellRecord,
        observations: Mapping[int, Observation],
        locks: Mapping[str, Lock],
        run: int,
        original: Observation | None = None,
    ) -> CellResult:
        """`original` is what the reference made of the file before a search changed it."""
        export = observations[record.export]
        altered = tuple(observations[number] for number in record.alter)
        reference = observations[record.reference] if record.reference is not None else None
        convert = observations[record.convert] if record.convert is not None else None
        tolerances = self._tolerances.get(record.model, self._default)
        compare = partial(self._leg, tolerances)
        made = self._family(record, observations)
        judgement = judge(
            record.opset,
            export,
            reference,
            convert,
            self.speak,
            compare,
            made.scheme,
            altered,
            original,
            self.speak_of_pass,
        )
        if isinstance(made, Absent) and convert is not None and self.speak(convert) is None:
            # Only the package that brings it knows how its numbers are compared: a verdict of ours would be a guess.
            title = f"no installed package brings the family {made.name}, by which this conversion was measured"
            judgement = Judgement(Finding("unavailable", "converter", None, "family-not-installed", title))
        parts = [part for part in (export, *altered, reference, convert) if part is not None]
        lock = locks.get(record.converter)
        distributions = self._distributions(convert)
        versions = self._versions(record, made, convert, distributions)
        return CellResult(
            record,
            export,
            reference,
            convert,
            judgement,
            versions,
            distributions,
            minor(convert.python) if convert else (lock.python if lock else ""),
            cached=all(part.run != run for part in parts),
            family=made,
            release=self._releases.get(versions.get(made.reads or "") or ""),
            altered=altered,
        )

    def _located(
        self, result: CellResult, record: CellRecord, observations: Mapping[int, Observation]
    ) -> Located | None:
        """What the search for the diverging node found. Not remembered: it is asked for where it is shown."""
        tolerances = self._tolerances.get(record.model, self._default)
        assert record.expose is not None
        exposed = observations[record.expose]
        traced = observations[record.trace] if record.trace is not None else None
        for observation in (exposed, traced):
            if observation is not None and (failed := self.speak(observation)) is not None:
                return Located(None, f"not found: {observation.role}/{failed.finding.stage}: {failed.finding.title}")
        file = result.altered[-1] if result.altered else result.export
        names = file.facts.get("graph_outputs")
        outputs = [str(name) for name in names] if isinstance(names, list) else []
        return locate(exposed, traced, outputs, tolerances, self._store.blobs.local)

    def compare(self, model: str, one: str, two: str) -> Leg:
        """Hold two stored files of arrays against each other, name by name, under the tolerances of a model. The first
        is the reference. Remembered like every comparison, and stored by the next `keep`."""
        return self._leg(self._tolerances.get(model, self._default), one, two, False)

    def keep(self) -> None:
        """Store the comparisons made since the last time."""
        self.comparisons.keep()

    def _versions(
        self, record: CellRecord, made: Family, convert: Observation | None, names: Mapping[str, str]
    ) -> dict[str, str | None]:
        pins = self._pins.get(_stem(record), {})
        installed = convert.installed if convert else {}
        return {
            package: installed.get(names.get(package, package)) or pins.get(package)
            for package in sorted(made.packages or pins)
        }

    def _distributions(self, convert: Observation | None) -> dict[str, str]:
        installed = convert.installed if convert else {}
        return {name: other for name, other in self._replace.items() if name not in installed and other in installed}

    def _log(self, record: PassRecord) -> str:
        return self._store.blobs.text(record.log) if record.log else ""

    def _family(self, record: CellRecord, observations: Mapping[int, Observation]) -> Family:
        """That which was measured, else the row's."""
        convert = observations.get(record.convert) if record.convert is not None else None
        measured = convert.family if convert is not None else ""
        return family_named(measured or self._families.get(_stem(record), FIRST_FAMILY))

    def _leg(self, tolerances: Tolerances, one: str, two: str, by_position: bool) -> Leg:
        return self.comparisons.leg(Asked(one, two, by_position, tolerances))


def _pairs(record: CellRecord, observations: Mapping[int, Observation], scheme: Scheme) -> Iterator[Pair]:
    """The files of arrays that the judge may compare for a record."""
    export = observations[record.export]
    reference = observations[record.reference] if record.reference is not None else None
    convert = observations[record.convert] if record.convert is not None else None
    blobs = files_of(export, reference, convert)
    if (again := export.file("torch-again.npz")) is not None and (once := export.file("torch.npz")) is not None:
        yield once, again, False
    if "again.npz" in blobs and "reference.npz" in blobs:
        yield blobs["reference.npz"], blobs["again.npz"], False
    for way in ways_of(scheme, blobs.keys()):
        yield blobs[way.one], blobs[way.two], way.by_position


def _stem(record: CellRecord) -> str:
    return RowId.parse(record.converter).stem


def tolerances_of(config: Config, model: str) -> Tolerances:
    """Those of a model: the table's, but for what it states itself."""
    own = next((item.tolerances for item in config.models if item.id == model), {})
    return Tolerances().override(_tolerances(config.tolerances)).override(_tolerances(own))


def _tolerances(stated: Any) -> dict[str, Tolerance]:
    return {kind: Tolerance(item.rtol, item.atol) for kind, item in stated.items()}
