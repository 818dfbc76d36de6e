"""What is foretold of a model, for people and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.answers.prediction import Prediction
from matrix.families import family_of
from matrix.outputs.wording.columns import columns, ordered, versions
from matrix.planning.cells import Cell

SCHEMA = 1

Foretold = Sequence[tuple[Cell, Prediction]]

# A pipe has no width of its own; wide enough that few sentences are broken.
_PIPE_WIDTH = 160

_LIKELY, _UNLIKELY = 0.8, 0.5


def document(model: str, found: Foretold) -> dict[str, Any]:
    """As JSON-ready data. Keys may be added, never renamed."""
    return {
        "schema": SCHEMA,
        "model": model,
        "predictions": [
            {
                "cell": cell.id,
                "exporter": cell.exporter.id,
                "opset": cell.opset,
                "converter": cell.converter.id,
                "family": cell.converter.family,
                "python": cell.python,
                **cell.converter.pins,
                "probability": round(prediction.probability, 3),
                "blockers": [
                    {"reason": item.reason, "text": item.text, "probability": round(item.probability, 3)}
                    for item in prediction.blockers
                ],
                "basis": list(prediction.basis),
            }
            for cell, prediction in found
        ],
    }


def print_predictions(found: Foretold, console: Console | None = None) -> None:
    """To standard output, in the order given."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH, no_color=True, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    families = ordered(family_of(cell.converter) for cell, _ in found)
    packages = columns(families)
    names = ("match", "exporter", "opset", "python", *(["family"] if len(families) > 1 else []))
    for name in (*names, *(package.name for package in packages), "what stands in the way"):
        table.add_column(name, no_wrap=name != "what stands in the way", overflow="fold")
    for cell, prediction in found:
        table.add_row(
            Text(f"{prediction.probability:4.0%}", style=_style(prediction.probability)),
            cell.exporter.id,
            str(cell.opset) if cell.exporter.writes else "",
            cell.python,
            *([cell.converter.family] if len(families) > 1 else []),
            *versions(packages, cell.converter.pins),
            Text("; ".join(item.text for item in prediction.blockers) or _unblocked(prediction)),
        )
    console.print(table)


def _unblocked(prediction: Prediction) -> str:
    """What a person may want to know where nothing is known to stand in the way."""
    return prediction.basis[0] if prediction.basis and prediction.basis[0].startswith("measured") else ""


def _style(probability: float) -> str:
    return "green" if probability >= _LIKELY else "red" if probability < _UNLIKELY else "yellow"
