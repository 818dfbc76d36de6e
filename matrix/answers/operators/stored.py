"""Coverage from the store. Judging a row takes seconds, so results are kept under a key of what was judged and how."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from matrix.answers.operators.cases import UnreadableCoverage
from matrix.answers.operators.coverage import Coverage
from matrix.answers.operators.judging import judge_cases
from matrix.judging.cells import tolerances_of
from matrix.judging.finding import Finding
from matrix.judging.method import SIGNATURES, method
from matrix.judging.outcome import outcome
from matrix.store import Observation, Store
from matrix.table.model import Config

_HERE = Path(__file__).parent

_FILES = ("cases.json", "expected.npz", "actual.npz")


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A converter without coverage, and the finding of the job that should have measured it."""

    converter: str
    finding: Finding


class Coverages:
    """Judges coverage observations under the tolerances of the table."""

    def __init__(self, config: Config, store: Store) -> None:
        self._store = store
        self._tolerances = tolerances_of(config, "")

    def observations(self, rows: Iterable[str]) -> dict[str, Observation]:
        """Return the newest observation of each row that has any. Nothing is measured."""
        newest = self._store.newest("coverage")
        return {row: newest[row] for row in rows if row in newest}

    def stored(self, rows: Iterable[str]) -> dict[str, Coverage | Unmeasured]:
        """Return the coverage of those observations."""
        return self.of(self.observations(rows))

    def of(self, observations: Mapping[str, Observation]) -> dict[str, Coverage | Unmeasured]:
        """Return coverage by converter row, in the order given."""
        failed = {row: self._failed(observation) for row, observation in observations.items()}
        keys = {row: self._key(row, observations[row]) for row, finding in failed.items() if finding is None}
        kept = self._store.derived(keys.values())
        found: dict[str, Coverage | Unmeasured] = {}
        fresh = {}
        for row, finding in failed.items():
            if finding is not None:
                found[row] = Unmeasured(row, finding)
            elif keys[row] in kept:
                found[row] = Coverage.from_json(kept[keys[row]])
            else:
                judged = found[row] = self._judge(row, observations[row])
                if isinstance(judged, Coverage):
                    fresh[keys[row]] = judged.to_json()
        if fresh:
            self._store.keep_derived(fresh)
        return found

    def _key(self, row: str, observation: Observation) -> str:
        blobs = [observation.file(name) for name in _FILES]
        parts = [method(SIGNATURES, _HERE), row, blobs, asdict(self._tolerances)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _judge(self, row: str, observation: Observation) -> Coverage | Unmeasured:
        cases, expected, actual = (self._store.blobs.local(observation.file(name) or "") for name in _FILES)
        try:
            return judge_cases(row, cases, expected, actual, self._tolerances)
        except UnreadableCoverage as error:
            return Unmeasured(row, Finding("error", "converter", "compare", "arrays-unreadable", said=str(error)))
        except OSError as error:
            return Unmeasured(row, _missing(f"a stored file cannot be opened: {error.strerror}"))

    def _failed(self, observation: Observation) -> Finding | None:
        """Judge the job; None if it left all its files."""
        log = observation.passes[-1].log if observation.passes else ""
        failed = outcome(observation, self._store.blobs.text(log) if log else "")
        if failed is not None:
            return replace(failed.finding, said=failed.finding.said or failed.finding.title)
        missing = ", ".join(name for name in _FILES if observation.file(name) is None)
        return _missing(f"not kept: {missing}") if missing else None


def _missing(said: str) -> Finding:
    return Finding("infra", "converter", "compare", "arrays-missing", said=said)
