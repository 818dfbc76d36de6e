"""The best toolchain for no model in particular: what carried most of those that were tried. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from matrix.answers.evidence import Entry
from matrix.answers.pick.ranking import Key
from matrix.planning.cells import Cell


@dataclass(frozen=True)
class Overall:
    """A toolchain with the models it was measured with; `cell` is one of its cells."""

    cell: Cell
    matched: tuple[str, ...]
    failed: tuple[str, ...]


def overall(
    cells: Iterable[Cell], entries: Sequence[Entry], prefer: Callable[[Cell], Key], models: frozenset[str]
) -> list[Overall]:
    """Toolchains of `cells`, those first that carried most of `models`; of equals what the user prefers."""
    seen: dict[tuple[str, int, str], dict[str, bool]] = {}
    for entry in entries:
        if entry.model in models and not entry.finding.indeterminate:
            toolchain = seen.setdefault((entry.exporter, entry.opset, entry.converter), {})
            toolchain[entry.model] = entry.finding.verdict == "match"
    found = []
    for cell in cells:
        measured = seen.get((cell.exporter.id, cell.opset, cell.converter.id))
        if measured:
            matched = tuple(sorted(model for model, matches in measured.items() if matches))
            failed = tuple(sorted(model for model, matches in measured.items() if not matches))
            found.append(Overall(cell, matched, failed))
    return sorted(found, key=lambda item: (-len(item.matched), len(item.failed), prefer(item.cell)))
