"""Each regression that stands, as the text of an issue; the same history always gives the same text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from matrix.history import CellChange, History, Regression
from matrix.history.causes import ChangeCause, explain_all
from matrix.outputs.ci.markdown import code, prose, title
from matrix.store import Store

# GitHub takes 65,536 characters; the dashboard has the rest.
_MOST_CELLS = 100


@dataclass(frozen=True)
class IssueText:
    """The text of a regression's issue; `cells` is the number of cells that no longer match."""

    key: str
    title: str
    body: str
    cells: int


def reports(store: Store, history: History, site: str | None = None) -> list[IssueText]:
    """Return one text for each key, for cells that broke in the same way on several nights are one regression. The
    oldest is first, so that issues are opened in the order of the breaks."""
    together: dict[str, list[Regression]] = {}
    for regression in reversed(history.regressions()):
        together.setdefault(regression.key, []).append(regression)
    whys = explain_all(store, history, (item[0].changes[0] for item in together.values()))
    return [_text(history, key, items, whys, site) for key, items in together.items()]


def _text(
    history: History, key: str, items: Sequence[Regression], whys: Mapping[CellChange, ChangeCause], site: str | None
) -> IssueText:
    first = items[0]
    cells = sorted(cell for item in items for cell in item.cells)
    broke, before = history.runs[first.run], history.runs[first.before_run]
    lines = [
        f"{_count(len(cells))} matched and no longer {'do' if len(cells) != 1 else 'does'}: {prose(first.title)}.",
        "",
        f"- Where: {code(place(first))} of {code(first.environment)}",
        f"- Reason: {reason(first)}",
        f"- Matched until: run of {before.started:%Y-%m-%d} ({code(before.uid)})",
        f"- Broke in: run of {broke.started:%Y-%m-%d} ({code(broke.uid)})",
    ]
    if (why := whys.get(first.changes[0])) is not None:
        lines.append(f"- What changed in between: {prose(why.sentence, 600)}")
    lines += ["", "Cells:", "", *(f"- {_cell(cell, site)}" for cell in cells[:_MOST_CELLS])]
    if len(cells) > _MOST_CELLS:
        lines.append(f"- and {len(cells) - _MOST_CELLS} more")
    lines += [
        "",
        "The nightly job maintains this issue: it updates the cells, and closes the issue once all of them match. "
        "An issue closed by hand stays closed.",
    ]
    return IssueText(key, title(f"{first.environment}: {first.title}"), "\n".join(lines), len(cells))


def place(regression: Regression) -> str:
    """Return `converter/check`."""
    return "/".join(part for part in (regression.role, regression.stage) if part) or "converter"


def reason(regression: Regression) -> str:
    """Return the reason's id in Markdown."""
    return code(regression.reason) if regression.reason else "not recognised"


def _cell(cell: str, site: str | None) -> str:
    if site is None:
        return code(cell)
    # Quoted whole: a bracket in an id would end the link.
    return f"[{code(cell)}]({site.rstrip('/')}/cell.html#{quote(cell, safe='')})"


def _count(cells: int) -> str:
    return f"{cells} cell{'s' if cells != 1 else ''}"
