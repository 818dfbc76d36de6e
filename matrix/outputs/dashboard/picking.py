"""What every toolchain was seen to do with every model, for the question which of them to install."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matrix.history import History
from matrix.outputs.dashboard.cells import THEN, Place
from matrix.outputs.dashboard.matrices import beginnings
from matrix.outputs.dashboard.shards import SCHEMA
from matrix.table.ids import CellId


def toolchains(
    history: History,
    places: Mapping[str, Place],
    exporters: Mapping[str, int],
    converters: Mapping[str, int],
    models: Mapping[str, int],
) -> dict[str, Any]:
    """Newest findings at the toolchains' own time; ids by their positions in the site."""
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
        kind.append(models[place.model])
    return {
        "schema": SCHEMA,
        "models": list(models),
        "toolchains": [[*key, *map(sorted, lists)] for key, lists in sorted(found.items())],
        "ids": [[*key, asked[key]] for key in sorted(asked)],
    }
