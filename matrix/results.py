"""History read back: the cells of a run with their verdicts, judged now from what was observed then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from matrix.array_comparisons import Asked, Comparisons
from matrix.config.ids import RowId
from matrix.config.model import Config, OnnxRelease
from matrix.located import Located, locate
from matrix.locks.lockfile import Lock
from matrix.store import CellRecord, Observation, Store
from matrix.verdicts.compare import Tolerances
from matrix.verdicts.finding import Finding
from matrix.verdicts.judge import Judgement, Leg, judge
from matrix.verdicts.outcome import Outcome, outcome
from matrix.verdicts.tolerance import Tolerance

# What a conversion depends on; shown for every cell.
SHOWN = ("onnx", "onnx-tf", "tensorflow")

# What is compared to judge a cell: a file, another, and whether outputs go by position.
_LEGS = (
    ("source", "again", False),
    ("reference", "twice", False),
    ("source", "reference", True),
    ("source", "memory", True),
    ("reference", "memory", False),
    ("memory", "reloaded", False),
    ("reloaded", "tflite", False),
)


@dataclass(frozen=True)
class CellResult:
    """A cell of a run: record, observations and what is concluded from them. `distributions` names what was really
    installed under another name than in the table: {"tensorflow": "tensorflow-cpu"}.

    `tried` are the cells that a search for remedies made of this one, `divergence` is what a search for the node at
    which the numbers part found. `release` is the converter's onnx in the table of ONNX releases.
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
        self._releases = {release.version: release for release in config.onnx}

    def speak(self, observation: Observation) -> Outcome | None:
        """What the observation says by itself; None for success."""
        key = id(observation) if observation.id is None else observation.id
        if observation.id is None or key not in self._spoken:
            found = outcome(observation, self._log(observation) if _in_trouble(observation) else "")
            if observation.id is None:
                return found
            self._spoken[key] = found
        return self._spoken[key]

    def cells(self, records: list[CellRecord], locks: Mapping[str, Lock], run: int) -> list[CellResult]:
        """Judge the records of a run, what a search did for a cell as a part of that cell. A cell is cached where that
        run made none of its observations. `locks` tell the Python of a converter that was never reached."""
        observations = self._store.observations([number for record in records for number in record.observations])
        self.comparisons.read_ahead(
            Asked(*pair, self._tolerances.get(record.model, self._default))
            for record in records
            for pair in _pairs(record, observations)
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
        judgement = judge(record.opset, export, reference, convert, self.speak, compare, altered, original)
        parts = [part for part in (export, *altered, reference, convert) if part is not None]
        lock = locks.get(record.converter)
        distributions = self._distributions(convert)
        versions = self._versions(record, convert, distributions)
        return CellResult(
            record,
            export,
            reference,
            convert,
            judgement,
            versions,
            distributions,
            _minor(convert.python) if convert else (lock.python if lock else ""),
            cached=all(part.run != run for part in parts),
            release=self._releases.get(versions["onnx"] or ""),
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
        return locate(exposed, traced, outputs, tolerances, self._store.blobs.path)

    def compare(self, model: str, one: str, two: str) -> Leg:
        """Hold two stored files of arrays against each other, name by name, under the tolerances of a model. The first
        is the reference. Remembered like every comparison, and stored by the next `keep`."""
        return self._leg(self._tolerances.get(model, self._default), one, two, False)

    def keep(self) -> None:
        """Store the comparisons made since the last time."""
        self.comparisons.keep()

    def _versions(
        self, record: CellRecord, convert: Observation | None, names: Mapping[str, str]
    ) -> dict[str, str | None]:
        pins = self._pins.get(RowId.parse(record.converter).stem, {})
        installed = convert.installed if convert else {}
        return {package: installed.get(names.get(package, package)) or pins.get(package) for package in SHOWN}

    def _distributions(self, convert: Observation | None) -> dict[str, str]:
        installed = convert.installed if convert else {}
        return {name: other for name, other in self._replace.items() if name not in installed and other in installed}

    def _log(self, observation: Observation) -> str:
        blob = observation.passes[-1].log if observation.passes else ""
        return self._store.blobs.text(blob) if blob else ""

    def _leg(self, tolerances: Tolerances, one: str, two: str, by_position: bool) -> Leg:
        return self.comparisons.leg(Asked(one, two, by_position, tolerances))


def _in_trouble(observation: Observation) -> bool:
    """Whether what it printed may have to tell why it is no success."""
    return any(record.exit is not None or (record.result or {}).get("error") for record in observation.passes)


def _pairs(record: CellRecord, observations: Mapping[int, Observation]) -> Iterator[tuple[str, str, bool]]:
    """The files of arrays that the judge may hold against each other for a record, as `compare` takes them."""
    export = observations[record.export]
    reference = observations[record.reference] if record.reference is not None else None
    convert = observations[record.convert] if record.convert is not None else None
    source = export.file("torch.npz") or export.file("given.npz")
    named = {
        "source": source,
        "again": export.file("torch-again.npz"),
        "reference": reference.file("reference.npz") if reference else None,
        "twice": reference.file("again.npz") if reference else None,
        "memory": convert.file("memory.npz") if convert else None,
        "reloaded": convert.file("reloaded.npz") if convert else None,
        "tflite": convert.file("tflite.npz") if convert else None,
    }
    for one, two, by_position in _LEGS:
        if (first := named[one]) is not None and (second := named[two]) is not None:
            yield first, second, by_position


def tolerances_of(config: Config, model: str) -> Tolerances:
    """Those of a model: the table's, but for what it states itself."""
    own = next((item.tolerances for item in config.models if item.id == model), {})
    return Tolerances().override(_tolerances(config.tolerances)).override(_tolerances(own))


def _tolerances(stated: Any) -> dict[str, Tolerance]:
    return {kind: Tolerance(item.rtol, item.atol) for kind, item in stated.items()}


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])
