"""What an exporter would write of a model at an opset, from what was written of it. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace

from matrix.answers.evidence import Profile
from matrix.answers.evidence.records import ProfileKey
from matrix.table.exporters import Exporter, expand
from matrix.table.model import Config


class Profiles:
    """Profiles as they were seen, and guesses where none was."""

    def __init__(self, config: Config, seen: Mapping[ProfileKey, Profile]) -> None:
        self._seen = seen
        self._exporters = {exporter.id: exporter for exporter in expand(config)}
        self._of_model: dict[str, list[Profile]] = defaultdict(list)
        versions: dict[tuple[str, int], Counter[int]] = defaultdict(Counter)
        for profile in seen.values():
            self._of_model[profile.model].append(profile)
            if profile.ir_version is not None and profile.opset_written is not None:
                versions[profile.exporter, profile.opset_written][profile.ir_version] += 1
        self._ir = {key: counts.most_common(1)[0][0] for key, counts in versions.items()}
        # The IR version that came with an opset, as a floor where nothing of an exporter was seen.
        self._ir_of_opset: dict[int, int] = {}
        for release in config.onnx:
            self._ir_of_opset.setdefault(release.opset, release.ir)

    def of(self, model: str, exporter: str, opset: int) -> tuple[Profile | None, bool]:
        """The profile, and whether it was really seen; None where nothing was ever written of the model."""
        if (found := self._seen.get((model, exporter, opset))) is not None:
            return found, True
        known = self._of_model.get(model)
        if not known:
            return None, False
        written = self._written(exporter, opset)
        nearest = min(known, key=lambda profile: self._distance(profile, exporter, written))
        guess = replace(
            nearest, exporter=exporter, opset=opset, opset_written=written, ir_version=self._version(exporter, written)
        )
        return guess, False

    def _written(self, exporter: str, opset: int) -> int:
        """What it really writes when asked: the dynamo exporter nothing below its lowest."""
        row = self._exporters.get(exporter)
        return max(opset, row.writable.start) if row is not None else opset

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
        row: Exporter | None = self._exporters.get(exporter)
        return row.released.toordinal() if row is not None else 0
