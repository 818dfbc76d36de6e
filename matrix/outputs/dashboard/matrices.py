"""The data of the Matrix page, a shard for every model, and of the Pick page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from packaging.version import InvalidVersion, Version

from matrix.history import History
from matrix.outputs.dashboard.cells import THEN, Place
from matrix.outputs.dashboard.schema import SCHEMA, Matrix, Pick, PinsShape
from matrix.outputs.dashboard.shards import Shards, slug
from matrix.table.ids import CellId

Order = tuple[Any, ...]


def version_order(text: str) -> Order:
    """Sort by PEP 440; texts that are not versions come first."""
    try:
        return 1, Version(text), ""
    except InvalidVersion:
        return 0, Version("0"), text


def column_order(exporter: str, torch: str, opset: int) -> Order:
    """Sort by the version of torch, the exporter, the opset."""
    return version_order(torch), exporter, opset


def beginnings(cell: CellId) -> tuple[str, str | None]:
    """Return the part of a cell's id before its row, and the same for cells whose exporter is resolved now."""
    own = cell.own
    now = next((other for other in own.of_now() if other.moved == "exporter"), None)
    return _beginning(own), _beginning(now) if now is not None else None


def _beginning(cell: CellId) -> str:
    return str(cell).removesuffix(str(cell.row))


def write_matrices(
    history: History,
    places: Mapping[str, Place],
    exporters: Mapping[str, int],
    converters: Mapping[str, int],
    shards: Shards,
    clean: Callable[[str], str],
) -> None:
    """Write a shard for each model; `exporters` and `converters` map ids to positions in the site."""
    by_model: dict[str, list[str]] = {}
    for cell, place in places.items():
        by_model.setdefault(place.model, []).append(cell)
    for model, cells in by_model.items():
        rows = sorted({converters[places[cell].converter] for cell in cells})
        columns = sorted(
            {(places[cell].exporter, places[cell].torch, places[cell].opset) for cell in cells},
            key=lambda column: column_order(*column),
        )
        row_at = {row: number for number, row in enumerate(rows)}
        column_at: dict[tuple[str, int], int] = {}
        asked = {(places[cell].exporter, places[cell].opset): CellId.parse(cell) for cell in cells}
        for exporter, _, opset in columns:
            column_at.setdefault((exporter, opset), len(column_at))
        entries = []
        for cell in cells:
            place = places[cell]
            timeline = history.timelines[cell]
            run, conclusion = timeline.newest
            changes = [number for change in timeline.changes() for number in change]
            row, column = row_at[converters[place.converter]], column_at[place.exporter, place.opset]
            entries.append((row, column, place.time, conclusion, run, changes))
        ids = [beginnings(asked[column]) for column in column_at]
        shard = Matrix(
            schema=SCHEMA,
            model=clean(model),
            rows=rows,
            columns=[(exporters[exporter], opset) for exporter, opset in column_at],
            ids=[(clean(begin), clean(now) if now else None) for begin, now in ids],
            cells=sorted(entries),
        )
        shards.write(f"matrix/{slug(model)}", shard)


def toolchains(
    history: History,
    places: Mapping[str, Place],
    exporters: Mapping[str, int],
    converters: Mapping[str, int],
    models: Sequence[str],
    pins: PinsShape,
) -> Pick:
    """Return the newest findings on every toolchain at its own time, by model."""
    model_at = {model: number for number, model in enumerate(models)}
    found: dict[tuple[int, int, int], tuple[list[int], list[int], list[int]]] = {}
    asked: dict[tuple[int, int], str] = {}
    for cell, place in places.items():
        conclusion = history.conclusions[history.timelines[cell].newest[1]]
        if place.time != THEN or conclusion.finding.indeterminate:
            continue
        key = exporters[place.exporter], place.opset, converters[place.converter]
        matching, remedied, failing = found.setdefault(key, ([], [], []))
        if key[:2] not in asked:
            asked[key[:2]] = beginnings(CellId.parse(cell))[0].removeprefix(place.model)
        kind = matching if conclusion.finding.good else remedied if conclusion.remedied is not None else failing
        kind.append(model_at[place.model])
    return {
        "schema": SCHEMA,
        "models": list(models),
        "pins": pins,
        "toolchains": [
            (*key, sorted(matching), sorted(remedied), sorted(failing))
            for key, (matching, remedied, failing) in sorted(found.items())
        ],
        "ids": [(*key, asked[key]) for key in sorted(asked)],
    }
