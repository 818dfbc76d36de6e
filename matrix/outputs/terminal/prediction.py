"""Predictions for a model, as text and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from matrix.answers.prediction import Prediction
from matrix.families import family_of
from matrix.outputs.terminal.console import grid, open_console
from matrix.outputs.wording.columns import RowColumns
from matrix.planning.cells import Cell

SCHEMA = 1

Predictions = Sequence[tuple[Cell, Prediction]]

_LIKELY, _UNLIKELY = 0.8, 0.5


def document(model: str, found: Predictions) -> dict[str, Any]:
    """Return them as JSON-ready data. Keys may be added, never renamed."""
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


def print_predictions(found: Predictions, console: Console | None = None) -> None:
    """Print to standard output, in the order given."""
    rows = RowColumns.of(family_of(cell.converter) for cell, _ in found)
    table = grid(("match", "exporter", "opset", "python", *rows.names, "blockers"), wrapping=("blockers",))
    for cell, prediction in found:
        table.add_row(
            Text(f"{prediction.probability:4.0%}", style=_style(prediction.probability)),
            cell.exporter.id,
            str(cell.opset) if cell.exporter.writes else "",
            cell.python,
            *rows.fields(family_of(cell.converter), cell.converter.pins),
            Text("; ".join(item.text for item in prediction.blockers) or _unblocked(prediction)),
        )
    open_console(console=console).print(table)


def _unblocked(prediction: Prediction) -> str:
    """Return the basis of a prediction without blockers, if the cell was measured."""
    return prediction.basis[0] if prediction.basis and prediction.basis[0].startswith("measured") else ""


def _style(probability: float) -> str:
    return "green" if probability >= _LIKELY else "red" if probability < _UNLIKELY else "yellow"
