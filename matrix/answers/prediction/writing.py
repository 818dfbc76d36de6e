"""Whether an exporter writes a model at an opset, and writes what the model computes. Pure."""

from __future__ import annotations

from collections import Counter

from matrix.answers.evidence import Evidence
from matrix.answers.prediction.frequencies import Failure
from matrix.table.exporters import Exporter
from matrix.table.model import Config

_NEVER = 0.01

# Exporters mostly do their work; so many models' worth is that taken for granted.
_PRIOR, _STRENGTH = 0.95, 2.0


class Writing:
    """Counts models by exporter and opset: each once, however many converters it went to."""

    def __init__(self, config: Config, evidence: Evidence) -> None:
        self._failed: dict[tuple[str, str, int], Failure] = {}
        written: set[tuple[str, str, int]] = set()
        for entry in evidence.entries:
            if entry.finding.indeterminate:
                continue
            if entry.finding.role == "exporter":
                failure = Failure(entry.finding, of=entry.model)
                self._failed.setdefault(entry.profile, failure)
            else:
                written.add(entry.profile)
        written -= self._failed.keys()
        self._good = Counter((exporter, opset) for _, exporter, opset in written)
        self._bad = Counter((exporter, opset) for _, exporter, opset in self._failed)
        wrong = [key for key, failure in self._failed.items() if failure.finding.verdict == "mismatch"]
        self._wrong = Counter((exporter, opset) for _, exporter, opset in wrong)

    def chance(self, model: str, exporter: Exporter, opset: int, seen: bool) -> tuple[float, Failure | None]:
        """`seen`: a file of this model is there, so that only its numbers may be wrong. With the failure where this
        very export was seen to fail."""
        if (failure := self._failed.get((model, exporter.id, opset))) is not None:
            return _NEVER, failure
        if opset not in exporter.askable:
            return _NEVER, None
        bad = (self._wrong if seen else self._bad)[exporter.id, opset]
        good = self._good[exporter.id, opset]
        return (_PRIOR * _STRENGTH + good) / (_STRENGTH + good + bad), None
