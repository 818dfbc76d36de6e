"""A cell under both resolutions, in one phrase."""

from __future__ import annotations

from typing import Literal

from matrix.judging.finding import INDETERMINATE
from matrix.table.model import Verdict

Standing = Literal["works then and now", "worked then, broken now", "never worked", "mended", "not known"]


def standing(then: Verdict | None, now: Verdict | None) -> Standing:
    """How the cell stands; only a match works, and what is missing or indeterminate on either side is not known."""
    if then is None or now is None or {then, now} & INDETERMINATE:
        return "not known"
    if then == "match":
        return "works then and now" if now == "match" else "worked then, broken now"
    return "mended" if now == "match" else "never worked"
