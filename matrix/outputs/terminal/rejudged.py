"""A stored run judged under other tolerances: the cells that change, and the tightest tolerances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from matrix.history.rejudged import Tightest
from matrix.judging.cells import CellResult
from matrix.outputs.documents.markdown import grid
from matrix.outputs.wording import words
from matrix.table.model import NumberKind

Changed = Sequence[tuple[CellResult, CellResult]]


def document(changed: Changed, tight: Sequence[Tightest], tolerances: Mapping[NumberKind, str]) -> dict[str, Any]:
    """Return an addition to the document of the run. `tolerances` are those used, by kind of number."""
    return {
        "tolerances": dict(tolerances),
        "changes": [
            {"cell": before.record.cell, "before": words.verdict(before), "after": words.verdict(after)}
            for before, after in changed
        ],
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


def summary(changed: Changed, cells: int) -> list[str]:
    """Return `3 of 96 cells change: match → mismatch (2), mismatch → match (1)`, then each of them."""
    if not changed:
        return [f"none of {cells} cells changes its verdict"]
    verdicts = [f"{words.verdict(before)} → {words.verdict(after)}" for before, after in changed]
    counted = ", ".join(f"{change} ({count})" for change, count in Counter(verdicts).most_common())
    listed = (f"  {before.record.cell}: {change}" for (before, _), change in zip(changed, verdicts, strict=True))
    return [f"{len(changed)} of {cells} cells change: {counted}", *listed]


def tightest_lines(tight: Sequence[Tightest], results: Sequence[CellResult], kind: str) -> list[str]:
    """Return a line for each cell, the farthest apart first; then those that no multiple of the tolerance helps."""
    lines = [f"tightest tolerance for {kind} that would pass:"] if tight else []
    for item in _farthest_first(tight):
        lines.append(f"  rtol {item.tolerance.rtol:.2e}, atol {item.tolerance.atol:.2e}  {item.cell} ({item.leg})")
    helped = {item.cell for item in tight}
    apart = [item.record.cell for item in results if item.finding.verdict == "mismatch"]
    return lines + [f"  none would  {cell}" for cell in apart if cell not in helped]


def tightest_markdown(tight: Sequence[Tightest], kind: str) -> list[str]:
    """Return the same as a Markdown table."""
    rows = (
        (item.cell, item.verdict, f"{item.tolerance.rtol:.2e}", f"{item.tolerance.atol:.2e}", item.leg)
        for item in _farthest_first(tight)
    )
    return grid(("cell", "verdict", f"tightest rtol for {kind}", "atol", "leg"), rows)


def _farthest_first(tight: Sequence[Tightest]) -> list[Tightest]:
    return sorted(tight, key=lambda item: -item.factor)
