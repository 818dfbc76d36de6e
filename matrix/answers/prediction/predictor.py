"""Evidence in, predictions out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from matrix.answers.evidence import Entry, Evidence, Profile
from matrix.answers.prediction.direct import Direct
from matrix.answers.prediction.experience import Experience
from matrix.answers.prediction.features import Feature
from matrix.answers.prediction.frequencies import Failure
from matrix.answers.prediction.profiles import Profiles
from matrix.answers.prediction.rows import converter_release
from matrix.answers.prediction.writing import Writing
from matrix.families import family_of
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell
from matrix.table.model import Config, ConverterRow, OnnxRelease

# Nothing is ever quite certain: an observation may be of a bad day, a rule may have an exception.
_SURE, _NEVER = 0.99, 0.01

# Below this a feature is named as standing in the way.
_BLOCKS = 0.6

_WORDS = {
    "mismatch": "wrong",
    "unsupported": "unsupported",
    "crash": "crashes",
    "timeout": "too slow",
    "oom": "too big",
}


@dataclass(frozen=True)
class Blocker:
    """What stands in the way: a stable `reason`, one sentence, and the probability that it leaves."""

    reason: str
    text: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The probability that a cell matches as it is, without remedies. `basis` says what it rests on."""

    probability: float
    blockers: tuple[Blocker, ...]
    basis: tuple[str, ...]


class Predictor:
    """Predicts cells of a table from what is known of others, and of the same where they were measured. What each
    kind of feature is worth is seen where it is `ignored`. `locks` tell what rows leave to the resolver."""

    def __init__(
        self,
        config: Config,
        evidence: Evidence,
        ignored: frozenset[str] = frozenset(),
        locks: Mapping[str, Lock] | None = None,
    ) -> None:
        self._entries = evidence.entries
        self._profiles = Profiles(config, evidence.profiles)
        self._experience = Experience(config, evidence, ignored, locks)
        self._direct = Direct(config, evidence)
        self._writing = Writing(config, evidence)

    @cached_property
    def _measured(self) -> dict[str, Entry]:
        return {entry.cell: entry for entry in self._entries if not entry.finding.indeterminate}

    def predict(self, cell: Cell) -> Prediction:
        """Of a cell that was measured, what was found; of a model of which nothing was ever written, little."""
        if (entry := self._measured.get(cell.id)) is not None:
            return _as_found(entry)
        if family_of(cell.converter).source == "torch":
            return self._of_module(cell.converter)
        profile, seen = self._profiles.of(cell.model.id, cell.exporter.id, cell.opset)
        if profile is None:
            return Prediction(0.5, (), ("nothing was ever written of this model",))
        blockers: list[Blocker] = []
        chance, basis = self._of_writing(cell, seen, blockers)
        chance *= self._of_row(cell.converter, profile, blockers, basis)
        if chance > _NEVER:
            chance *= self._of_features(cell.converter, profile, blockers, basis)
        blockers.sort(key=lambda blocker: blocker.probability)
        return Prediction(min(max(chance, _NEVER), _SURE), tuple(blockers), tuple(basis))

    def _of_module(self, row: ConverterRow) -> Prediction:
        """Of a converter that takes the torch module there is no file whose features could tell."""
        blockers: list[Blocker] = []
        basis: list[str] = []
        if not self._works(row, blockers, basis):
            return Prediction(_NEVER, tuple(blockers), tuple(basis))
        chance, failure, words = self._direct.chance(row)
        if chance < _BLOCKS and failure is not None:
            how = _WORDS.get(failure.finding.verdict, "fails")
            text = f"{how} in {converter_release(row)}, as {failure.of} shows ({failure.reason})"
            blockers.append(Blocker(failure.reason, text, chance))
        return Prediction(min(max(chance, _NEVER), _SURE), tuple(blockers), (words,))

    def _of_writing(self, cell: Cell, seen: bool, blockers: list[Blocker]) -> tuple[float, list[str]]:
        chance, failure = self._writing.chance(cell.model.id, cell.exporter, cell.opset, seen)
        if chance < _BLOCKS:
            reason = failure.reason if failure else "opset-not-writable"
            said = f" ({failure.finding.said})" if failure and failure.finding.said else ""
            text = f"{cell.exporter.id} at opset {cell.opset}: does not write such files{said}"
            blockers.append(Blocker(reason, text, chance))
        return chance, ["what this exporter wrote" if seen else "what another exporter or opset wrote, carried over"]

    def _of_row(self, row: ConverterRow, profile: Profile, blockers: list[Blocker], basis: list[str]) -> float:
        release = self._experience.release(row)
        if release is not None and profile.ir_version is not None and profile.ir_version > release.ir:
            text = f"IR version {profile.ir_version} of the file: onnx {release.version} knows {release.ir}"
            blockers.append(Blocker("ir-version-too-new", text, _NEVER))
            basis.append("the table of ONNX releases")
            return _NEVER
        return 1.0 if self._works(row, blockers, basis) else _NEVER

    def _works(self, row: ConverterRow, blockers: list[Blocker], basis: list[str]) -> bool:
        """Whether nothing shows that its environment cannot be made or imported."""
        if (failure := self._experience.broken(row)) is None:
            return True
        text = f"the environment of {failure.of} does not work: {failure.finding.said}"
        blockers.append(Blocker(failure.reason, text, _NEVER))
        basis.append("its environment")
        return False

    def _of_features(self, row: ConverterRow, profile: Profile, blockers: list[Blocker], basis: list[str]) -> float:
        found = self._experience.chances(row, profile)
        worst: dict[str, tuple[float, Feature]] = {}
        for feature, chance in found.items():
            key = feature.operator or feature.kind
            if key not in worst or chance < worst[key][0]:
                worst[key] = chance, feature
        total = 1.0
        for chance, feature in worst.values():
            total *= chance
            if chance < _BLOCKS:
                failures = self._experience.failures(row, feature)
                blockers.append(_blocker(row, self._experience.release(row), feature, chance, failures))
        basis.append(self._experience.basis(row))
        return total


def _as_found(entry: Entry) -> Prediction:
    basis = (f"measured on {entry.date}",)
    if entry.finding.verdict == "match":
        return Prediction(_SURE, (), basis)
    found = entry.finding
    where = f"{found.role} {found.stage}: " if found.role and found.stage else ""
    return Prediction(_NEVER, (Blocker(found.reason or found.verdict, f"{where}{found.said}", _NEVER),), basis)


def _blocker(
    row: ConverterRow, known: OnnxRelease | None, feature: Feature, chance: float, failures: list[Failure]
) -> Blocker:
    release = converter_release(row)
    if not failures:
        reads = family_of(row).reads
        newest = f"{reads} {row.pins.get(reads, known.version)}" if reads and known is not None else str(release)
        words = {
            "alien": "no ONNX operator",
            "unclaimed": f"no handler in {release}",
            "limit": f"refused by {release}",
            "odd": f"not known to {newest}",
            "beyond": f"newer than {newest}",
        }
        return Blocker(
            f"operator-{feature.kind}", f"{feature}: {words.get(feature.kind, f'doubtful in {release}')}", chance
        )
    verdict, reason = Counter((one.finding.verdict, one.reason) for one in failures).most_common(1)[0][0]
    example = next(failure for failure in failures if failure.reason == reason)
    text = f"{feature}: {_WORDS.get(verdict, 'fails')} in {release}, as {example.of} shows ({reason})"
    return Blocker(reason, text, chance)
