"""A row of the database as the record of a cell, and back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from matrix.store.records import CellRecord
from matrix.store.schema import CellRow


def cell_record(row: CellRow | Row[Any]) -> CellRecord:
    further = row.further or {}
    return CellRecord(
        row.cell,
        row.model,
        row.exporter,
        row.torch,
        row.opset,
        row.converter,
        row.export,
        row.reference,
        row.convert,
        row.base,
        tuple((kind, value) for kind, value in further.get("changes", [])),
        tuple(further.get("alter", [])),
        further.get("expose"),
        further.get("trace"),
    )


def cell_columns(run: int, record: CellRecord) -> dict[str, Any]:
    """What a row of a run holds of a record."""
    return {
        "run": run,
        "cell": record.cell,
        "model": record.model,
        "exporter": record.exporter,
        "torch": record.torch,
        "opset": record.opset,
        "converter": record.converter,
        "export": record.export,
        "reference": record.reference,
        "convert": record.convert,
        "base": record.base,
        "further": {
            "changes": [list(change) for change in record.changes],
            "alter": list(record.alter),
            "expose": record.expose,
            "trace": record.trace,
        }
        if record.base
        else None,
    }
