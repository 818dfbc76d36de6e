"""What a drift report comes to, in one sentence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Totals:
    """How many locks of how many rows changed, were resolved for the first time, and what became of cells."""

    rows: int
    locks: int
    first: int
    verdicts: int
    broken: int
    mended: int
    unknown: int
    incidents: int


def sentence(totals: Totals) -> str:
    parts = [f"{_count(totals.locks, 'lock')} of {totals.rows} changed"]
    if totals.first:
        parts.append(f"{totals.first} resolved for the first time")
    named = totals.broken or totals.mended
    detail = f" ({totals.broken} broken, {totals.mended} mended)" if named else ""
    parts.append(f"{_count(totals.verdicts, 'cell')} came out otherwise{detail}")
    if totals.unknown:
        parts.append(f"{totals.unknown} could not be measured")
    return "drift: " + ", ".join([*parts, _count(totals.incidents, "new incident")])


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
