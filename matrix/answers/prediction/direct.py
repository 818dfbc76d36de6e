"""How a converter does that takes the torch module itself. There is no file to read features of: what it made of other
models is all there is to go by. Pure."""

from __future__ import annotations

from collections import Counter

from matrix.answers.evidence import Evidence
from matrix.answers.prediction.frequencies import Failure
from matrix.answers.prediction.rows import nearest
from matrix.families import family_of
from matrix.table.model import Config, ConverterRow

# So many models' worth is taken for granted, of which this share passes.
_PRIOR, _STRENGTH = 0.5, 2.0


class Direct:
    """Counts models by row: each once."""

    def __init__(self, config: Config, evidence: Evidence) -> None:
        rows = {row.id: row for row in config.converters if row.companions}
        self._rows = {name: row for name, row in rows.items() if family_of(row).source == "torch"}
        self._good: Counter[str] = Counter()
        self._failed: dict[str, list[Failure]] = {}
        for entry in evidence.entries if self._rows else ():
            found = entry.finding
            if entry.converter not in self._rows or found.indeterminate or found.role not in (None, "converter"):
                continue
            if found.verdict == "match":
                self._good[entry.converter] += 1
            else:
                self._failed.setdefault(entry.converter, []).append(Failure(found, of=entry.model))

    def chance(self, row: ConverterRow) -> tuple[float, Failure | None, str]:
        """The share of models that pass, in the row or the one nearest to it; a failure of the commonest kind; and what
        that rests on, in words."""
        near = nearest(row, self._rows, self._good.keys() | self._failed.keys())
        if near is None:
            return _PRIOR, None, "nothing was ever measured of this converter"
        good, failed = self._good[near], self._failed.get(near, [])
        kinds = Counter(failure.finding.kind for failure in failed)
        telling = next((one for one in failed if one.finding.kind == kinds.most_common(1)[0][0]), None)
        chance = (_PRIOR * _STRENGTH + good) / (_STRENGTH + good + len(failed))
        return chance, telling, f"what {'this row' if near == row.id else near} made of other models"
