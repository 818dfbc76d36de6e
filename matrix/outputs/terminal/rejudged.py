"""A stored run under other tolerances: which verdicts change, and how tight a tolerance each cell would bear."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matrix.judging.cells import CellResult
from matrix.judging.tolerance import Tolerance
from matrix.outputs.wording import words
from matrix.table.model import NumberKind, Verdict


@dataclass(frozen=True)
class ChangedVerdict:
    """A cell that is judged otherwise than under the table's own tolerances: verdicts, or `match with`."""

    cell: str
    before: str
    after: str


@dataclass(frozen=True)
class Tightest:
    """The tightest multiple of the tolerance asked for that ``leg``, the one farthest apart, would still pass."""

    cell: str
    verdict: Verdict
    leg: str
    factor: float
    tolerance: Tolerance


def changes(before: Sequence[CellResult], after: Sequence[CellResult]) -> list[ChangedVerdict]:
    """Cells whose verdict differs; both in the same order."""
    return [
        ChangedVerdict(one.record.cell, words.verdict(one), words.verdict(two))
        for one, two in zip(before, after, strict=True)
        if words.verdict(one) != words.verdict(two)
    ]


def tightest(results: Sequence[CellResult], asked: Mapping[str, Tolerance]) -> list[Tightest]:
    """For every cell whose numbers were compared and whose outputs have the right names, shapes and types.

    ``asked`` is by cell, what was asked for there. The factor holds for all kinds of numbers alike: it is the largest
    of all outputs. Left out are cells that no tolerance would make pass.
    """
    found = []
    for result in results:
        # Of a cell that matches with changes, the numbers it had with them.
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
        scaled = Tolerance(_rounded_up(base.rtol * factor), _rounded_up(base.atol * factor))
        found.append(Tightest(result.record.cell, judgement.finding.verdict, leg, factor, scaled))
    return found


def _rounded_up(value: float) -> float:
    """Three digits, never less: what is printed has to pass when it is asked for."""
    if value == 0:
        return 0.0
    exponent = math.floor(math.log10(value)) - 2
    return float(f"{math.ceil(value * (1 + 1e-9) / 10.0**exponent)}e{exponent}")


def document(
    changed: Sequence[ChangedVerdict], tight: Sequence[Tightest], tolerances: Mapping[NumberKind, str]
) -> dict[str, Any]:
    """As JSON-ready data, to go with the document of the run. ``tolerances`` says by kind of number what was used."""
    return {
        "tolerances": dict(tolerances),
        "changes": [{"cell": item.cell, "before": item.before, "after": item.after} for item in changed],
        "tightest": [
            {
                "cell": item.cell,
                "leg": item.leg,
                "factor": item.factor,
                "rtol": item.tolerance.rtol,
                "atol": item.tolerance.atol,
            }
            for item in tight
        ],
    }


def summary(changed: Sequence[ChangedVerdict], cells: int) -> list[str]:
    """`3 of 96 cells change: match → mismatch (2), mismatch → match (1)`, then each of them."""
    if not changed:
        return [f"none of {cells} cells changes its verdict"]
    kinds = Counter((item.before, item.after) for item in changed).most_common()
    counted = ", ".join(f"{before} → {after} ({count})" for (before, after), count in kinds)
    return [
        f"{len(changed)} of {cells} cells change: {counted}",
        *(f"  {item.cell}: {item.before} → {item.after}" for item in changed),
    ]


def tightest_lines(tight: Sequence[Tightest], results: Sequence[CellResult], kind: str) -> list[str]:
    """One line a cell, the farthest apart first; then those that no multiple of the tolerance helps."""
    ordered = sorted(tight, key=lambda item: -item.factor)
    lines = [f"the tightest tolerance for {kind} that would pass:"] if tight else []
    for item in ordered:
        lines.append(f"  rtol {item.tolerance.rtol:.2e}, atol {item.tolerance.atol:.2e}  {item.cell} ({item.leg})")
    helped = {item.cell for item in tight}
    apart = [item.record.cell for item in results if item.finding.verdict == "mismatch"]
    return lines + [f"  none would  {cell}" for cell in apart if cell not in helped]


def tightest_markdown(tight: Sequence[Tightest], kind: str) -> list[str]:
    return [
        f"| cell | verdict | tightest rtol for {kind} | atol | leg |",
        "|---|---|---|---|---|",
        *(
            f"| {item.cell} | {item.verdict} | {item.tolerance.rtol:.2e} | {item.tolerance.atol:.2e} | {item.leg} |"
            for item in sorted(tight, key=lambda item: -item.factor)
        ),
    ]
