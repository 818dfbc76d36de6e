"""Predict cells from evidence. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from matrix.answers.evidence import Entry, Evidence, Profile
from matrix.answers.prediction.experience import Experience, converter_release
from matrix.answers.prediction.exports import Exports
from matrix.answers.prediction.features import Feature
from matrix.families import family_of
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell
from matrix.table.model import Config, ConverterRow

# Nothing is certain: an observation may be of a bad day, a rule may have an exception.
_SURE, _NEVER = 0.99, 0.01

# Operators that converter/rewriting/lowering.py spells with older ones.
_LOWERED = frozenset({"Gelu", "GreaterOrEqual", "HardSwish", "LayerNormalization", "LessOrEqual", "Mish"})

# The opsets that a file may be translated to.
_OPSETS = range(9, 64)

# A translation may fail, or compute something else.
_TRANSLATED = 0.9

# Features with a lower probability are named as blockers.
_BLOCKS = 0.6

_WORDS = {
    "mismatch": "gives wrong numbers",
    "unsupported": "not supported",
    "crash": "crashes",
    "timeout": "times out",
    "oom": "runs out of memory",
}


@dataclass(frozen=True)
class Blocker:
    """A probable cause of failure: a stable `reason`, one sentence, and the probability of success that it leaves."""

    reason: str
    text: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The probability that a cell matches as it is, without remedies. `basis` says what it rests on."""

    probability: float
    blockers: tuple[Blocker, ...]
    basis: tuple[str, ...]


@dataclass(frozen=True)
class Eased:
    """The opset to translate an .onnx file to, where that makes a match more likely, and the prediction then."""

    opset: int
    prediction: Prediction


@dataclass
class _Draft:
    """A prediction in the making: its probability is the product of those of independent causes of failure."""

    probability: float = 1.0
    never: bool = False
    blockers: list[Blocker] = field(default_factory=list)
    basis: list[str] = field(default_factory=list)

    def fails(self, reason: str, text: str, basis: str) -> None:
        self.probability *= _NEVER
        self.blockers.append(Blocker(reason, text, _NEVER))
        self.basis.append(basis)

    def prediction(self) -> Prediction:
        blockers = sorted(self.blockers, key=lambda blocker: blocker.probability)
        probability = 0.0 if self.never else min(max(self.probability, _NEVER), _SURE)
        return Prediction(probability, tuple(blockers), tuple(self.basis))


class Predictor:
    """Predicts cells of a table from evidence on others, or on the same if they were measured. Features of the
    `ignored` kinds are not used, which shows their worth. `locks` have the versions that rows leave to the resolver."""

    def __init__(
        self,
        config: Config,
        evidence: Evidence,
        ignored: frozenset[str] = frozenset(),
        locks: Mapping[str, Lock] | None = None,
    ) -> None:
        self._entries = evidence.entries
        self._exports = Exports(config, evidence)
        self._experience = Experience(config, evidence, ignored, locks)

    @cached_property
    def _measured(self) -> dict[str, Entry]:
        return {entry.cell: entry for entry in self._entries if not entry.finding.indeterminate}

    def predict(self, cell: Cell) -> Prediction:
        """Return the finding of a measured cell as a prediction; for others, predict the export and the conversion."""
        if (entry := self._measured.get(cell.id)) is not None:
            return _as_found(entry)
        draft = _Draft()
        if family_of(cell.converter).source == "torch":
            if self._works(cell.converter, draft):
                self._add_module(cell.converter, draft)
            return draft.prediction()
        profile, seen = self._exports.profile(cell.model.id, cell.exporter.id, cell.opset)
        if profile is None:
            return Prediction(0.5, (), ("no export of this model is known",))
        self._add_export(cell, seen, draft)
        row = cell.converter
        if self._reads(row, profile, draft) and self._works(row, draft) and draft.probability > _NEVER:
            self._add_features(row, profile, draft)
        return draft.prediction()

    def eased(self, cell: Cell) -> Eased | None:
        """Return the opset to translate the .onnx file of a cell to, None where as it is it is as likely to match, or
        nothing is known of it."""
        profile, seen = self._exports.profile(cell.model.id, cell.exporter.id, cell.opset)
        row, release = cell.converter, self._experience.release(cell.converter)
        written = profile.opset_written if profile is not None else None
        if profile is None or written is None or release is None or self._experience.broken(row) is not None:
            return None
        best: Eased | None = None
        unread = (profile.ir_version or 0) > release.ir
        for opset in reversed([number for number in _OPSETS if number <= min(written - (not unread), release.opset)]):
            uses = [use for use in profile.uses if use.operator not in _LOWERED or self._experience.knows(use, opset)]
            if not all(self._experience.knows(use, opset) for use in uses):
                break
            draft = _Draft()
            self._add_export(cell, seen, draft)
            lower = min(profile.ir_version or release.ir, release.ir)
            self._add_features(row, replace(profile, opset_written=opset, ir_version=lower, uses=tuple(uses)), draft)
            draft.basis.append(f"the file translated to opset {opset}")
            draft.probability *= _TRANSLATED if opset < written else 1.0
            if best is None or draft.probability > best.prediction.probability:
                best = Eased(opset, draft.prediction())
        plain = self.predict(cell).probability
        return best if best is not None and best.prediction.probability > plain else None

    def _add_module(self, row: ConverterRow, draft: _Draft) -> None:
        draft.probability, failure, basis = self._experience.of_module(row)
        draft.basis.append(basis)
        if draft.probability < _BLOCKS and failure is not None:
            how = _WORDS.get(failure.finding.verdict, "fails")
            text = f"{how} in {converter_release(row)}, as {failure.of} shows ({failure.reason})"
            draft.blockers.append(Blocker(failure.reason, text, draft.probability))

    def _add_export(self, cell: Cell, seen: bool, draft: _Draft) -> None:
        draft.probability, failure = self._exports.chance(cell.model.id, cell.exporter, cell.opset, seen)
        draft.basis.append("a file of this exporter" if seen else "a file of another exporter or opset, carried over")
        if draft.probability < _BLOCKS:
            reason = failure.reason if failure else "opset-not-writable"
            said = f" ({failure.finding.said})" if failure and failure.finding.said else ""
            text = f"{cell.exporter.id} at opset {cell.opset}: cannot export the model{said}"
            draft.blockers.append(Blocker(reason, text, draft.probability))

    def _reads(self, row: ConverterRow, profile: Profile, draft: _Draft) -> bool:
        release, ir = self._experience.release(row), profile.ir_version
        if release is None or ir is None or ir <= release.ir:
            return True
        text = f"the file has IR version {ir}: onnx {release.version} supports at most {release.ir}"
        draft.fails("ir-version-too-new", text, "the table of ONNX releases")
        return False

    def _works(self, row: ConverterRow, draft: _Draft) -> bool:
        """Whether no past cell shows that its environment cannot be built or imported."""
        if (failure := self._experience.broken(row)) is None:
            return True
        # Its own environment was seen to fail whatever the file: no conversion is worth a try.
        draft.never = failure.of == row.id
        text = f"the environment of {failure.of} does not work: {failure.finding.said}"
        draft.fails(failure.reason, text, "its environment")
        return False

    def _add_features(self, row: ConverterRow, profile: Profile, draft: _Draft) -> None:
        # An operator has several features: its worst one counts.
        worst: dict[str, tuple[float, Feature]] = {}
        for feature, chance in self._experience.chances(row, profile).items():
            key = feature.operator or feature.kind
            if key not in worst or chance < worst[key][0]:
                worst[key] = chance, feature
        total = 1.0
        for chance, feature in worst.values():
            total *= chance
            if chance < _BLOCKS:
                draft.blockers.append(self._blocker(row, feature, chance))
        draft.probability *= total
        draft.basis.append(self._experience.basis(row))

    def _blocker(self, row: ConverterRow, feature: Feature, chance: float) -> Blocker:
        release = converter_release(row)
        if failures := self._experience.failures(row, feature):
            verdict, reason = Counter((one.finding.verdict, one.reason) for one in failures).most_common(1)[0][0]
            example = next(failure for failure in failures if failure.reason == reason)
            how = _WORDS.get(verdict, "fails")
            return Blocker(reason, f"{feature}: {how} in {release}, as {example.of} shows ({reason})", chance)
        reads, known = family_of(row).reads, self._experience.release(row)
        newest = f"{reads} {row.pins.get(reads, known.version)}" if reads and known is not None else str(release)
        words = {
            "alien": "not an ONNX operator",
            "unclaimed": f"no handler in {release}",
            "limit": f"refused by {release}",
            "odd": f"unknown to {newest}",
            "beyond": f"newer than {newest}",
        }
        text = f"{feature}: {words.get(feature.kind, f'unreliable in {release}')}"
        return Blocker(f"operator-{feature.kind}", text, chance)


def _as_found(entry: Entry) -> Prediction:
    found, basis = entry.finding, (f"measured on {entry.date}",)
    if found.good:
        return Prediction(_SURE, (), basis)
    where = f"{found.role} {found.stage}: " if found.role and found.stage else ""
    return Prediction(_NEVER, (Blocker(found.reason or found.verdict, f"{where}{found.said}", _NEVER),), basis)
