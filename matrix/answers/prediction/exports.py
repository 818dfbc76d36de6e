"""The exporter's side of a prediction: whether it writes a model at an opset, and the profile of the file. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

from matrix.answers.evidence import Evidence, Profile, ProfileKey
from matrix.answers.prediction.frequencies import Failure, smoothed
from matrix.table.exporters import Exporter, expand
from matrix.table.model import Config

_NEVER = 0.01

# The share of exports that succeed, before any was seen.
_PRIOR = 0.95


class Exports:
    """Exports as they were seen, and guesses for the others. Models count once by exporter and opset, however many
    converters their files went to."""

    def __init__(self, config: Config, evidence: Evidence) -> None:
        self._profiles = evidence.profiles
        self._exporters = {exporter.id: exporter for exporter in expand(config)}
        self._of_model: dict[str, list[Profile]] = defaultdict(list)
        versions: dict[tuple[str, int], Counter[int]] = defaultdict(Counter)
        for profile in evidence.profiles.values():
            self._of_model[profile.model].append(profile)
            if profile.ir_version is not None and profile.opset_written is not None:
                versions[profile.exporter, profile.opset_written][profile.ir_version] += 1
        self._ir = {key: counts.most_common(1)[0][0] for key, counts in versions.items()}
        # The IR version released with an opset: a lower bound for exporters that were never seen.
        self._ir_of_opset = {release.opset: release.ir for release in reversed(config.onnx)}
        self._failed: dict[ProfileKey, Failure] = {}
        written: set[ProfileKey] = set()
        for entry in evidence.entries:
            if entry.finding.role == "exporter" and not entry.finding.indeterminate:
                self._failed.setdefault(entry.profile, Failure(entry.finding, of=entry.model))
            elif not entry.finding.indeterminate:
                written.add(entry.profile)
        self._good = Counter(key[1:] for key in written - self._failed.keys())
        self._bad = Counter(key[1:] for key in self._failed)
        self._wrong = Counter(key[1:] for key, found in self._failed.items() if found.finding.verdict == "mismatch")

    def profile(self, model: str, exporter: str, opset: int) -> tuple[Profile | None, bool]:
        """Return the profile, and whether it was really seen; None if the model was never exported."""
        if (found := self._profiles.get((model, exporter, opset))) is not None:
            return found, True
        known = self._of_model.get(model)
        if not known:
            return None, False
        # The dynamo exporter writes no opset below its lowest, whatever is asked for.
        row = self._exporters.get(exporter)
        written = max(opset, row.writable.start) if row is not None else opset
        nearest = min(known, key=lambda profile: self._distance(profile, exporter, written))
        version = self._version(exporter, written)
        return replace(nearest, exporter=exporter, opset=opset, opset_written=written, ir_version=version), False

    def _version(self, exporter: str, opset: int) -> int | None:
        if (found := self._ir.get((exporter, opset))) is not None:
            return found
        same = [(abs(other - opset), ir) for (name, other), ir in self._ir.items() if name == exporter]
        return min(same)[1] if same else self._ir_of_opset.get(opset)

    def _distance(self, profile: Profile, exporter: str, opset: int) -> tuple[bool, int, int, str]:
        far = abs((profile.opset_written or profile.opset) - opset)
        days = abs(self._released(profile.exporter) - self._released(exporter))
        return profile.exporter != exporter, far, days, profile.exporter

    def _released(self, exporter: str) -> int:
        row = self._exporters.get(exporter)
        return row.released.toordinal() if row is not None else 0

    def chance(self, model: str, exporter: Exporter, opset: int, seen: bool) -> tuple[float, Failure | None]:
        """Return the probability of a correct file, and the failure if this very export was seen to fail. `seen`: the
        file was written, so only its numbers may be wrong."""
        if (failure := self._failed.get((model, exporter.id, opset))) is not None:
            return _NEVER, failure
        if opset not in exporter.askable:
            return _NEVER, None
        bad = (self._wrong if seen else self._bad)[exporter.id, opset]
        return smoothed(_PRIOR, self._good[exporter.id, opset], bad), None
