"""One cell by its id, whatever tier it is in. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from matrix.core.errors import UsageError
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell
from matrix.table.exporters import expand, without_exporter
from matrix.table.ids import CellId
from matrix.table.model import Config


def cell_named(config: Config, locks: Mapping[str, Lock], name: str) -> Cell:
    """The cell `model/exporter@opset/converter`, or `model/file/converter`. Raises UsageError naming the part that the
    table does not have."""
    named = CellId.parse(name)
    model, exporter, opset, converter = named.model, str(named.exporter), named.opset or 0, str(named.row)
    models = {item.id: item for item in config.models}
    converters = {row.id: row for row in config.converters}
    exporters = {item.id: item for item in (*expand(config), *without_exporter(config))}
    for kind, part, known in (
        ("model", model, models),
        ("exporter", exporter, exporters),
        ("converter", converter, converters),
    ):
        if part not in known:
            raise UsageError(f"{name}: the table has no {kind} {part!r}; it has: {', '.join(known)}")
    if opset not in exporters[exporter].askable:
        askable = exporters[exporter].askable
        raise UsageError(f"{name}: {exporter} takes opsets {askable.start} to {askable.stop - 1}")
    lock = locks.get(converter)
    return Cell(models[model], exporters[exporter], opset, converters[converter], lock.python if lock else "")
