"""The heatmap's data: one shard for every model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from packaging.version import InvalidVersion, Version

from matrix.history import History
from matrix.outputs.dashboard.cells import Place
from matrix.outputs.dashboard.shards import SCHEMA, Shards, slug
from matrix.table.ids import CellId

Order = tuple[Any, ...]


def version_order(text: str) -> Order:
    """By PEP 440; what is no version comes first."""
    try:
        return 1, Version(text), ""
    except InvalidVersion:
        return 0, Version("0"), text


def column_order(exporter: str, torch: str, opset: int) -> Order:
    return version_order(torch), exporter, opset


def beginnings(cell: CellId) -> tuple[str, str | None]:
    """What the printed ids of a cell's column begin with, and of those whose exporter is of now: what its row is
    called follows."""
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
    """`exporters` and `converters` are the positions of their ids in the site."""
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
            entries.append([row, column, place.time, conclusion, run, changes])
        shards.write(
            f"matrix/{slug(model)}",
            {
                "schema": SCHEMA,
                "model": clean(model),
                "rows": rows,
                "columns": [[exporters[exporter], opset] for exporter, opset in column_at],
                "ids": [[clean(text) if text else None for text in beginnings(asked[column])] for column in column_at],
                "cells": sorted(entries),
            },
        )
