"""Coverage read back from history. Judging a row takes seconds, so what was judged is kept by what it was judged from
and how."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from matrix.answers.operators.judging import UnreadableCoverage, judge_cases
from matrix.answers.operators.summary import Coverage
from matrix.judging.compare import Tolerances
from matrix.judging.finding import Finding
from matrix.judging.method import SIGNATURES, method
from matrix.judging.outcome import outcome
from matrix.judging.tolerance import Tolerance
from matrix.store import Observation, Store
from matrix.table.model import Config

_HERE = Path(__file__).parent

_FILES = ("cases.json", "expected.npz", "actual.npz")


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A converter of which there is no coverage, with the finding on the job that should have measured it."""

    converter: str
    finding: Finding


class Coverages:
    """Judges coverage observations under the tolerances of the table."""

    def __init__(self, config: Config, store: Store) -> None:
        self._store = store
        self._tolerances = Tolerances().override(
            {kind: Tolerance(item.rtol, item.atol) for kind, item in config.tolerances.items()}
        )

    def observations(self, rows: Iterable[str]) -> dict[str, Observation]:
        """The newest of each row that has any; nothing is measured."""
        newest = self._store.newest("coverage")
        return {row: newest[row] for row in rows if row in newest}

    def stored(self, rows: Iterable[str]) -> dict[str, Coverage | Unmeasured]:
        """What those say."""
        return self.of(self.observations(rows))

    def of(self, observations: Mapping[str, Observation]) -> dict[str, Coverage | Unmeasured]:
        """By converter row, in the order given."""
        keys = {row: self._key(row, observation) for row, observation in observations.items()}
        kept = self._store.derived(key for key in keys.values() if key is not None)
        found: dict[str, Coverage | Unmeasured] = {}
        fresh = {}
        for row, observation in observations.items():
            key = keys[row]
            if key is not None and key in kept:
                found[row] = Coverage.from_json(kept[key])
                continue
            judged = found[row] = self._judge(row, observation)
            if key is not None and isinstance(judged, Coverage):
                fresh[key] = judged.to_json()
        if fresh:
            self._store.keep_derived(fresh)
        return found

    def _key(self, row: str, observation: Observation) -> str | None:
        """None where there is nothing to judge."""
        blobs = [observation.file(name) for name in _FILES]
        if None in blobs or self._failed(row, observation):
            return None
        parts = [method(SIGNATURES, _HERE), row, blobs, asdict(self._tolerances)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _judge(self, row: str, observation: Observation) -> Coverage | Unmeasured:
        if (failed := self._failed(row, observation)) is not None:
            return failed
        blobs = [observation.file(name) for name in _FILES]
        if None in blobs:
            missing = ", ".join(name for name, blob in zip(_FILES, blobs, strict=True) if blob is None)
            return Unmeasured(
                row, Finding("infra", "converter", "compare", "arrays-missing", said=f"not kept: {missing}")
            )
        paths = [self._store.blobs.local(blob) for blob in blobs if blob is not None]
        try:
            return judge_cases(row, paths[0], paths[1], paths[2], self._tolerances)
        except UnreadableCoverage as error:
            return Unmeasured(row, Finding("error", "converter", "compare", "arrays-unreadable", said=str(error)))
        except OSError as error:
            said = f"a stored file cannot be opened: {error.strerror}"
            return Unmeasured(row, Finding("infra", "converter", "compare", "arrays-missing", said=said))

    def _failed(self, row: str, observation: Observation) -> Unmeasured | None:
        log = observation.passes[-1].log if observation.passes else ""
        failed = outcome(observation, self._store.blobs.text(log) if log else "")
        if failed is None:
            return None
        found = failed.finding
        return Unmeasured(row, replace(found, said=found.said or found.title))
