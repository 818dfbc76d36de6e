"""A stored run judged under other tolerances: the cells that change, and the tightest tolerances. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matrix.judging.cells import CellResult
from matrix.judging.tolerance import Tolerance
from matrix.table.model import Verdict


@dataclass(frozen=True)
class Tightest:
    """The tightest multiple of the tolerance asked for that `leg`, the one with the largest difference, would pass."""

    cell: str
    verdict: Verdict
    leg: str
    factor: float
    tolerance: Tolerance


def changed(before: Sequence[CellResult], after: Sequence[CellResult]) -> list[tuple[CellResult, CellResult]]:
    """Return the cells whose verdict changes, a match with changes being another verdict. Both in the same order."""

    def shown(result: CellResult) -> Verdict | None:
        return result.finding.verdict if result.remedied is None else None

    return [(one, two) for one, two in zip(before, after, strict=True) if shown(one) != shown(two)]


def tightest(results: Sequence[CellResult], asked: Mapping[str, Tolerance]) -> list[Tightest]:
    """Return the tightest tolerance of every cell that some tolerance would make pass.

    `asked` is the tolerance asked for, by cell. The factor is the largest of all outputs, so it holds for all kinds of
    numbers. Of a cell that matches with changes it is about the numbers with these.
    """
    found = []
    for result in results:
        judgement = (result.remedied or result).judgement
        if judgement.finding.verdict != "match" and judgement.finding.reason != "values-differ":
            continue
        factors = {
            name: float(value) for name, leg in judgement.legs.items() if (value := leg.get("tightest")) is not None
        }
        leg = max(factors, key=lambda name: factors[name], default=None)
        if leg is None or not math.isfinite(factors[leg]):
            continue
        base, factor = asked[result.record.cell], factors[leg]
        scaled = Tolerance(rounded_up(base.rtol * factor), rounded_up(base.atol * factor))
        found.append(Tightest(result.record.cell, judgement.finding.verdict, leg, factor, scaled))
    return found


def rounded_up(value: float) -> float:
    """Round up to three digits, so that the printed tolerance passes when it is asked for."""
    if value == 0:
        return 0.0
    exponent = math.floor(math.log10(value)) - 2
    return float(f"{math.ceil(value * (1 + 1e-9) / 10.0**exponent)}e{exponent}")
