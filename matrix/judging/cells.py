"""Judge stored cells: today's verdicts on what was observed when they ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from matrix.families import Absent, Family, family_named
from matrix.judging.compare import Tolerances
from matrix.judging.comparisons import Asked, Comparisons
from matrix.judging.divergence import Located, locate
from matrix.judging.finding import Finding
from matrix.judging.judge import Judgement, Leg, files_of, judge, ways_of
from matrix.judging.outcome import Outcome, in_trouble, of_pass, outcome, trouble
from matrix.judging.tolerance import Tolerance
from matrix.packages.lock import Lock
from matrix.packages.versions import minor
from matrix.store import CellRecord, Observation, PassRecord, Store
from matrix.table.ids import FIRST_FAMILY, RowId
from matrix.table.model import Config, OnnxRelease

Observations = Mapping[int, Observation]


@dataclass(frozen=True)
class CellResult:
    """A cell of a run: its record, its observations and the judgement on them.

    `distributions` maps packages to the distribution that was installed in their place: {"tensorflow":
    "tensorflow-cpu"}. `family` is the converter's, `release` the entry of its onnx in the table of ONNX releases.
    `tried` are the cells that a search for remedies made of this one, `divergence` the result of a search for the
    first diverging node.
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
        """The finding on the cell itself, without changes."""
        return self.judgement.finding

    @property
    def observations(self) -> tuple[Observation, ...]:
        """The observations that its finding is based on."""
        parts = (self.export, *self.altered, self.reference, self.convert)
        return tuple(part for part in parts if part is not None)

    @property
    def opset_written(self) -> int | None:
        written = self.export.facts.get("opset_written")
        return int(written) if isinstance(written, int) else None

    @property
    def remedied(self) -> CellResult | None:
        """The result with the smallest set of changes that makes this failing cell match; None where none is known."""
        if self.finding.verdict == "match":
            return None
        working = [result for result in self.tried if result.finding.verdict == "match"]
        return min(working, key=lambda result: len(result.record.changes), default=None)


class Judge:
    """Judges cells. Comparisons are stored, by what they compare and how."""

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
        """Return the outcome of an observation; None for success."""
        if observation.id is None:
            return self._outcome(observation)
        if observation.id not in self._spoken:
            self._spoken[observation.id] = self._outcome(observation)
        return self._spoken[observation.id]

    def _outcome(self, observation: Observation) -> Outcome | None:
        failed = trouble(observation)
        return outcome(observation, self._log(failed) if failed is not None else "")

    def speak_of_pass(self, observation: Observation, name: str) -> Outcome | None:
        """Return the outcome of one pass; None for success, and where there is no such pass."""
        record = next((record for record in observation.passes if record.name == name), None)
        if record is None:
            return None
        return of_pass(observation, record, self._log(record) if in_trouble(record) else "")

    def cells(self, records: list[CellRecord], locks: Mapping[str, Lock], run: int) -> list[CellResult]:
        """Judge the records of a run; those of a search become part of the cell searched for. A cell is cached where
        that run made none of its observations. `locks` give the Python of converters that were never reached."""
        observations = self._store.observations([number for record in records for number in record.observations])
        self.comparisons.read_ahead(asked for record in records for asked in self._asked(record, observations))
        searched: dict[str, list[CellRecord]] = {}
        for record in records:
            if record.base is not None:
                searched.setdefault(record.base, []).append(record)
        results = []
        for record in records:
            if record.base is None:
                result = self._cell(record, observations, locks, run)
                if further := searched.get(record.cell):
                    changed = (item for item in further if item.changes)
                    exposed = (item for item in further if item.expose is not None)
                    result = replace(
                        result,
                        tried=tuple(self._cell(item, observations, locks, run, result.reference) for item in changed),
                        divergence=next((self._located(result, item, observations) for item in exposed), None),
                    )
                results.append(result)
        self.keep()
        return results

    def _cell(
        self,
        record: CellRecord,
        observations: Observations,
        locks: Mapping[str, Lock],
        run: int,
        original: Observation | None = None,
    ) -> CellResult:
        """`original` is the reference job of the file before a search changed it."""
        export, reference, convert = _parts(record, observations)
        altered = tuple(observations[number] for number in record.alter)
        made = self._family(record, convert)
        judgement = judge(
            record.opset,
            export,
            reference,
            convert,
            self.speak,
            partial(self._leg, self._tolerances_of(record.model)),
            made.scheme,
            altered,
            original,
            self.speak_of_pass,
        )
        if isinstance(made, Absent) and convert is not None and self.speak(convert) is None:
            # Only its package knows how its outputs are compared: a verdict of ours would be a guess.
            title = f"no installed package provides the family {made.name} of this converter; install it to compare"
            judgement = Judgement(Finding("unavailable", "converter", None, "family-not-installed", title))
        lock = locks.get(record.converter)
        python = minor(convert.python) if convert else lock.python if lock else ""
        installed = convert.installed if convert else {}
        names = {name: new for name, new in self._replace.items() if name not in installed and new in installed}
        pins = self._pins.get(_stem(record), {})
        versions = {
            package: installed.get(names.get(package, package)) or pins.get(package)
            for package in sorted(made.packages or pins)
        }
        return CellResult(
            record,
            export,
            reference,
            convert,
            judgement,
            versions,
            distributions=names,
            python=python,
            cached=all(part is None or part.run != run for part in (export, *altered, reference, convert)),
            family=made,
            release=self._releases.get(versions.get(made.reads or "") or ""),
            altered=altered,
        )

    def _located(self, result: CellResult, record: CellRecord, observations: Observations) -> Located:
        """Locate the diverging node. Not remembered: it is needed only where it is shown."""
        assert record.expose is not None
        exposed, traced = observations[record.expose], _seen(record.trace, observations)
        for observation in (exposed, traced):
            if observation is not None and (failed := self.speak(observation)) is not None:
                return Located(None, f"not found: {observation.role}/{failed.finding.stage}: {failed.finding.title}")
        file = result.altered[-1] if result.altered else result.export
        names = file.facts.get("graph_outputs")
        outputs = [str(name) for name in names] if isinstance(names, list) else []
        return locate(exposed, traced, outputs, self._tolerances_of(record.model), self._store.blobs.local)

    def compare(self, model: str, one: str, two: str) -> Leg:
        """Compare two stored files of arrays by name under the tolerances of a model. The first is the reference. The
        comparison is stored by the next `keep`."""
        return self._leg(self._tolerances_of(model), one, two, False)

    def keep(self) -> None:
        """Store the comparisons made since the last call."""
        self.comparisons.keep()

    def _log(self, record: PassRecord) -> str:
        return self._store.blobs.text(record.log) if record.log else ""

    def _tolerances_of(self, model: str) -> Tolerances:
        return self._tolerances.get(model, self._default)

    def _family(self, record: CellRecord, convert: Observation | None) -> Family:
        """Return the family that was measured, else the row's."""
        measured = convert.family if convert is not None else ""
        return family_named(measured or self._families.get(_stem(record), FIRST_FAMILY))

    def _leg(self, tolerances: Tolerances, one: str, two: str, by_position: bool, shared: bool = False) -> Leg:
        return self.comparisons.leg(Asked(one, two, by_position, tolerances, shared))

    def _asked(self, record: CellRecord, observations: Observations) -> Iterator[Asked]:
        """Yield the comparisons that judging a record may ask for."""
        export, reference, convert = _parts(record, observations)
        tolerances = self._tolerances_of(record.model)
        blobs = files_of(export, reference, convert)
        if (again := export.file("torch-again.npz")) is not None and (once := export.file("torch.npz")) is not None:
            yield Asked(once, again, False, tolerances)
        if "again.npz" in blobs and "reference.npz" in blobs:
            yield Asked(blobs["reference.npz"], blobs["again.npz"], False, tolerances)
        for way in ways_of(self._family(record, convert).scheme, blobs.keys()):
            yield Asked(blobs[way.one], blobs[way.two], way.by_position, tolerances, way.shared)


def _seen(number: int | None, observations: Observations) -> Observation | None:
    return observations[number] if number is not None else None


def _parts(
    record: CellRecord, observations: Observations
) -> tuple[Observation, Observation | None, Observation | None]:
    return observations[record.export], _seen(record.reference, observations), _seen(record.convert, observations)


def _stem(record: CellRecord) -> str:
    return RowId.parse(record.converter).stem


def tolerances_of(config: Config, model: str) -> Tolerances:
    """Return the tolerances of a model: the table's, overridden by its own."""
    found = Tolerances()
    for stated in (config.tolerances, next((item.tolerances for item in config.models if item.id == model), {})):
        found = found.override({kind: Tolerance(item.rtol, item.atol) for kind, item in stated.items()})
    return found
