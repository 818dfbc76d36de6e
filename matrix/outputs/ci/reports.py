"""Each regression that stands, as the text of an issue. The same history gives the same text on every night."""

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
    """What the issue of a regression is to say; `cells` is how many do not match any more."""

    key: str
    title: str
    body: str
    cells: int


def reports(store: Store, history: History, site: str | None = None) -> list[IssueText]:
    """One text for each key: what broke in one way on several nights is one regression. Oldest first, so that issues
    are opened in the order in which things broke."""
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
    runs = history.runs
    where = "/".join(part for part in (first.role, first.stage) if part)
    lines = [
        f"{_count(len(cells))} matched and no longer {'do' if len(cells) != 1 else 'does'}: {prose(first.title)}.",
        "",
        f"- Where: {code(where or 'converter')} of {code(first.environment)}",
        f"- Reason: {code(first.reason or 'of no known kind')}",
        f"- Matched until: run of {runs[first.before_run].started:%Y-%m-%d} ({code(runs[first.before_run].uid)})",
        f"- Broke in: run of {runs[first.run].started:%Y-%m-%d} ({code(runs[first.run].uid)})",
    ]
    if (why := whys.get(first.changes[0])) is not None:
        lines.append(f"- What changed in between: {prose(why.sentence, 600)}")
    lines += ["", "Cells:", "", *(f"- {_cell(cell, site)}" for cell in cells[:_MOST_CELLS])]
    if len(cells) > _MOST_CELLS:
        lines.append(f"- and {len(cells) - _MOST_CELLS} more")
    lines += [
        "",
        "This issue is kept by the nightly job: it is updated when other cells are concerned, and closed when all of "
        "them match again. Who closes it by hand is not contradicted.",
    ]
    said = f"{first.environment}: {first.title}"
    return IssueText(key, title(said), "\n".join(lines), len(cells))


def _cell(cell: str, site: str | None) -> str:
    if site is None:
        return code(cell)
    # Quoted whole, so that no bracket of an id ends the link.
    return f"[{code(cell)}]({site.rstrip('/')}/cell.html#{quote(cell, safe='')})"


def _count(cells: int) -> str:
    return f"{cells} cell{'s' if cells != 1 else ''}"
