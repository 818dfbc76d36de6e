"""What is known of toolchains before anything runs, for people and as data."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from rich.console import Console
from rich.table import Table

from matrix.answers.pick.ranking import Overall, Ranked
from matrix.planning.cells import Cell

SCHEMA = 1

# Of what was expected, as many lines as fit into one look.
SHOWN = 5

_PIPE_WIDTH = 160


def print_expected(ranked: Sequence[Ranked], stored: Set[str]) -> None:
    """Without running anything: the best candidates and what is expected of them. `stored` are the cells that a past
    run saw to match."""
    console = console_for_output()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("toolchain", "python", "expected", "why"):
        table.add_column(name, overflow="fold")
    for item in ranked[:SHOWN]:
        seen = item.cell.id in stored
        expected = "seen to match" if seen else f"{item.prediction.probability:.0%}"
        table.add_row(toolchain(item.cell), item.cell.python, expected, _why(item))
    console.print(table)


def print_overall(found: Sequence[Overall]) -> None:
    """Toolchains by how many models they carried."""
    console = console_for_output()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("toolchain", "python", "models", "not"):
        table.add_column(name, overflow="fold")
    for item in found[:SHOWN]:
        carried = f"{len(item.matched)} of {len(item.matched) + len(item.failed)}"
        table.add_row(toolchain(item.cell), item.cell.python, carried, ", ".join(item.failed))
    console.print(table)
    console.print("from stored evidence; with --model yours is tried and the toolchain handed over")


def overall_document(found: Sequence[Overall]) -> dict[str, Any]:
    """As JSON-ready data. Keys may be added, never renamed."""
    return {
        "schema": SCHEMA,
        "toolchains": [
            {
                "exporter": item.cell.exporter.id,
                "opset": item.cell.opset,
                "converter": item.cell.converter.id,
                "python": item.cell.python,
                "matched": list(item.matched),
                "failed": list(item.failed),
            }
            for item in found
        ],
    }


def toolchain(cell: Cell) -> str:
    """What a person installs, in one line."""
    pins = " ".join(f"{package}=={version}" for package, version in cell.converter.pins.items())
    return f"torch=={cell.exporter.torch} opset {cell.opset}, {pins}" if cell.exporter.writes else pins


def expected(item: Ranked) -> dict[str, Any]:
    return {
        "cell": item.cell.id,
        "probability": round(item.prediction.probability, 3),
        "blockers": [blocker.text for blocker in item.prediction.blockers],
        "basis": list(item.prediction.basis),
    }


def _why(item: Ranked) -> str:
    prediction = item.prediction
    return "; ".join([blocker.text for blocker in prediction.blockers] or prediction.basis)


def console_for_output() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=_PIPE_WIDTH, no_color=True, highlight=False)
