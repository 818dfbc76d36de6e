"""Cut a plan into shards, one for each machine. Pure: the same cells and costs are cut the same way everywhere.

Converter rows are distributed as a whole, so that an environment is built on one machine only; a row larger than a fair
share is distributed by models. The longest goes first, to the shard with the least work (Graham's rule).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import TypeVar

from matrix.core.errors import UsageError
from matrix.planning.cells import Cell
from matrix.table.ids import CellId, RowId

# Estimates of what was never measured: a conversion and an export of the zoo, and building an environment.
_CONVERT_SECONDS = 3.0
_EXPORT_SECONDS = 1.0
_ENVIRONMENT_SECONDS = 20.0

# In fair shares: a larger row is split, although its environment is then built twice.
_HEAVY = 1.25

_NAMED = re.compile(r"(\d{1,6})/(\d{1,6})")

# Model, exporter and opset of an export, which is made and run by the reference once for all converters.
Exported = tuple[str, str, int]

Item = TypeVar("Item")


@dataclass(frozen=True)
class Costs:
    """Measured seconds: of conversions by cell id, and of exports including their reference."""

    cells: Mapping[str, float] = field(default_factory=dict)
    exports: Mapping[Exported, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """One machine's part of a plan, the `index`-th of `of`; `seconds` is its expected duration."""

    index: int
    of: int
    cells: tuple[Cell, ...]
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.index}/{self.of}"


@dataclass(frozen=True)
class Partition:
    """A plan cut into shards, some of which may be empty. Every cell is in exactly one."""

    shards: tuple[Shard, ...]

    @property
    def whole(self) -> int:
        """The number of planned cells."""
        return sum(len(shard.cells) for shard in self.shards)

    @cached_property
    def digest(self) -> str:
        """The hash of all shards: parts of a run fit together only if they have the same."""
        ids = [sorted(cell.id for cell in shard.cells) for shard in self.shards]
        return hashlib.sha256(json.dumps(ids).encode()).hexdigest()

    def part(self, shard: Shard) -> dict[str, str | int]:
        """Return what is stored with the run of a shard, so that missing shards can be detected."""
        return {"shard": shard.name, "partition": self.digest, "whole": self.whole}


def shard_named(text: str) -> tuple[int, int]:
    """Parse `2/8`, the second of eight. Raises UsageError for anything else."""
    found = _NAMED.fullmatch(text)
    index, of = map(int, found.groups()) if found else (0, 0)
    if not 1 <= index <= of:
        raise UsageError(f"--shard {text}: write I/N, the I-th of N shards, such as 1/4 to 4/4")
    return index, of


def cut(cells: Sequence[Cell], shards: int, costs: Costs) -> Partition:
    """Distribute cells over shards; those of a shard keep their order."""
    weigh = _Weighing(cells, costs)
    rows: dict[str, list[Cell]] = {}
    for cell in cells:
        # A row and the same row of now are often one environment.
        rows.setdefault(_own(cell), []).append(cell)
    weights = {row: weigh(of_row) for row, of_row in rows.items()}
    fair = sum(weights.values()) / shards
    pieces: list[tuple[str, list[Cell]]] = []
    for row, of_row in rows.items():
        for number, piece in enumerate(_by_models(of_row, math.ceil(weights[row] / (fair * _HEAVY)), weigh)):
            pieces.append((f"{row} {number}", piece))
    dealt = _dealt([(weigh(piece), name, piece) for name, piece in pieces], shards)
    places = {cell.id: place for place, cell in enumerate(cells)}
    parts = []
    for index, (seconds, pieces_of) in enumerate(dealt, 1):
        ordered = sorted((cell for piece in pieces_of for cell in piece), key=lambda cell: places[cell.id])
        parts.append(Shard(index, shards, tuple(ordered), seconds))
    return Partition(tuple(parts))


class _Weighing:
    """The total duration of cells: building their converters' environments, each export once, and conversions."""

    def __init__(self, cells: Sequence[Cell], costs: Costs) -> None:
        known: dict[str, list[float]] = {}
        for cell in cells:
            if (seconds := _measured(cell, costs)) is not None:
                known.setdefault(_own(cell), []).append(seconds)
        self._costs = costs
        self._of_rows = {row: median(seconds) for row, seconds in known.items()}
        self._of_all = median(s for of_row in known.values() for s in of_row) if known else _CONVERT_SECONDS
        self._export = median(costs.exports.values()) if costs.exports else _EXPORT_SECONDS

    def __call__(self, cells: Iterable[Cell]) -> float:
        environments, exports, seconds = set(), {}, 0.0
        for cell in cells:
            environments.add(cell.converter.id)
            exports[_exported(cell)] = self._costs.exports.get(_exported(cell), self._export)
            measured = _measured(cell, self._costs)
            seconds += self._of_rows.get(_own(cell), self._of_all) if measured is None else measured
        return _ENVIRONMENT_SECONDS * len(environments) + sum(exports.values()) + seconds


def _measured(cell: Cell, costs: Costs) -> float | None:
    """Return the measured seconds of a cell; of one of now that was never measured, those at its own time."""
    return costs.cells.get(cell.id, costs.cells.get(str(CellId.parse(cell.id).own)))


def _own(cell: Cell) -> str:
    """Return the converter's row without the time as of which it is resolved."""
    return RowId.parse(cell.converter.id).stem


def _exported(cell: Cell) -> Exported:
    return cell.model.id, cell.exporter.id, cell.opset


def _by_models(cells: list[Cell], most: int, weigh: _Weighing) -> list[list[Cell]]:
    """Split the cells of a row into at most `most` pieces, without splitting models."""
    models: dict[str, list[Cell]] = {}
    for cell in cells:
        models.setdefault(cell.model.id, []).append(cell)
    if most <= 1 or len(models) == 1:
        return [cells]
    dealt = _dealt([(weigh(piece), model, piece) for model, piece in models.items()], min(most, len(models)))
    return [[cell for piece in pieces for cell in piece] for _, pieces in dealt]


def _dealt(items: Iterable[tuple[float, str, Item]], number: int) -> list[tuple[float, list[Item]]]:
    """Distribute items, given with weight and name, over `number` bins. Names decide between equal weights."""
    weights, bins = [0.0] * number, [list[Item]() for _ in range(number)]
    for weight, _, item in sorted(items, key=lambda entry: (-entry[0], entry[1])):
        lightest = weights.index(min(weights))
        weights[lightest] += weight
        bins[lightest].append(item)
    return list(zip(weights, bins, strict=True))
