"""A change of a remedy made to a cell. Pure: a cell, what it came out as and the table in, another cell out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from packaging.specifiers import SpecifierSet

from matrix.families import family_of
from matrix.families.registry import newest_opset, read_by
from matrix.judging.cells import CellResult
from matrix.judging.changes import Change, facts
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell, Step
from matrix.table.exporters import Exporter, expand
from matrix.table.ids import changed_id
from matrix.table.model import Config, ConverterRow, ExporterRow, Role, Row

AnyRow = TypeVar("AnyRow", bound=Row)

# What onnx.version_converter may be asked for; no release of the table is newer.
_OPSETS = range(1, 64)

_SIGNS = {"~=": "-as-", "==": "-", "<=": "-upto-", ">=": "-from-", "!=": "-not-", "<": "-below-", ">": "-above-"}


@dataclass(frozen=True)
class Table:
    """The part of matrix.yml and of the locks that a change is worked out with."""

    config: Config
    locks: Mapping[str, Lock]

    def ir_version(self, cell: Cell) -> int | None:
        """The IR version that the converter's onnx knows; None where no release of onnx says what it reads."""
        release = read_by(self.config, cell.converter, self.locks)
        return release.ir if release is not None else None

    def opset(self, cell: Cell) -> int:
        """The newest opset that the converter reads."""
        return newest_opset(self.config, cell.converter, self.locks)

    def torchscript(self, cell: Cell) -> Exporter | None:
        """The TorchScript exporter of the cell's torch."""
        own = (e for e in expand(self.config) if e.row == cell.exporter.row and e.via == "torchscript")
        return next(own, None) if cell.exporter.via == "dynamo" else None


def applied(cell: Cell, change: Change, result: CellResult, table: Table, role: Role | None = None) -> Cell | None:
    """The cell with one change more; None where the change is not possible, or would change nothing.

    `result` is what `cell` came out as: its file's IR version and opset are what is changed. Packages are added where
    it failed, or to the environment of `role`.
    """
    ir, opset = _of_file(result)
    newest = table.opset(cell)
    of_family = family_of(cell.converter).facts(cell.converter.pins)
    wanted = change.concrete(facts(of_family, opset=opset, onnx_opset=newest))
    if wanted is None or (wanted.kind != "add" and family_of(cell.converter).source == "torch"):
        # Where there is no file, there is none to change, and such a converter is told nothing but the model.
        return None
    made: tuple[Cell, str] | None = None
    place = role or result.finding.role
    match wanted.kind:
        case "ir_version":
            made = _lower_ir(cell, ir, str(wanted.value), table)
        case "opset":
            made = _export_at(cell, opset, str(wanted.value), newest)
        case "convert_opset":
            made = _convert_to(cell, opset, str(wanted.value), newest)
        case "via":
            made = _by_torchscript(cell, newest, table)
        case "simplify":
            made = _altered(cell, "simplify", True, "onnxsim")
        case "rename":
            made = _altered(cell, "rename", True, "valid names")
        case "environ" if place == "converter":
            made = _environ(cell, dict(cast("tuple[tuple[str, str], ...]", wanted.value)), wanted.words)
        case "add" if place in ("exporter", "converter"):
            pins = dict(cast("tuple[tuple[str, str], ...]", wanted.value))
            made = _with_packages(cell, pins, place == "exporter", table, wanted.words)
    if made is None:
        return None
    other, words = made
    return replace(other, base=cell.base or cell.id, changes=(*cell.changes, Step(wanted.kind, words)))


def _of_file(result: CellResult) -> tuple[int | None, int | None]:
    """IR version and opset of the file that was converted."""
    found = (result.altered[-1] if result.altered else result.export).facts
    ir, opset = found.get("ir_version"), found.get("opset_written")
    return (ir if isinstance(ir, int) else None), (opset if isinstance(opset, int) else None)


def _lower_ir(cell: Cell, ir: int | None, wanted: str, table: Table) -> tuple[Cell, str] | None:
    """To what the converter's onnx knows ("table"), or to a number."""
    limit = int(wanted) if wanted.isdigit() else table.ir_version(cell)
    if ir is None or limit is None or ir <= limit:
        return None
    return _altered(cell, "ir_version", limit, f"ir_version {ir}→{limit}")


def _export_at(cell: Cell, written: int | None, spec: str, newest: int) -> tuple[Cell, str] | None:
    if not cell.exporter.writes:
        return None
    able = cell.exporter.writable
    if cell.exporter.via == "builder" and cell.model.builder is not None:
        able = range(cell.model.builder.opsets[0], cell.model.builder.opsets[1] + 1)
    fitting = [
        n for n in able if n <= newest and SpecifierSet(spec).contains(str(n)) and n not in (written, cell.opset)
    ]
    if not fitting:
        return None
    return replace(cell, opset=max(fitting)), f"opset {written or cell.opset}→{max(fitting)}"


def _convert_to(cell: Cell, opset: int | None, spec: str, newest: int) -> tuple[Cell, str] | None:
    fitting = [n for n in _OPSETS if n <= newest and SpecifierSet(spec).contains(str(n)) and n != opset]
    if opset is None or not fitting:
        return None
    return _altered(cell, "opset", max(fitting), f"version_converter {opset}→{max(fitting)}")


def _by_torchscript(cell: Cell, newest: int, table: Table) -> tuple[Cell, str] | None:
    exporter = table.torchscript(cell)
    if exporter is None:
        return None
    opset = cell.opset
    if opset not in exporter.writable or opset > newest:
        opset = max((n for n in exporter.writable if n <= newest), default=exporter.writable.start)
    words = "TorchScript exporter" + ("" if opset == cell.opset else f" at opset {opset}")
    return replace(cell, exporter=exporter, opset=opset), words


def _altered(cell: Cell, kind: str, value: str | int | bool, words: str) -> tuple[Cell, str] | None:
    if (kind, value) in cell.alterations:
        return None
    return replace(cell, alterations=(*cell.alterations, (kind, value))), words


def _environ(cell: Cell, wanted: dict[str, str], words: str) -> tuple[Cell, str] | None:
    known = dict(cell.environ)
    if wanted.items() <= known.items():
        return None
    return replace(cell, environ=tuple(sorted((known | wanted).items()))), words


def _with_packages(
    cell: Cell, wanted: dict[str, str], on_exporter: bool, table: Table, words: str
) -> tuple[Cell, str] | None:
    """The cell in an environment with these packages too. `pins` of the row stay what they are."""
    row: ExporterRow | ConverterRow = cell.converter
    together = cell.exporter.row == cell.converter.id
    if on_exporter and not together:
        known = {item.id: item for item in table.config.exporters}
        found = cell.exporter_row or known.get(cell.exporter.row)
        if found is None:
            return None
        row = found
    new = {
        package: spec for package, spec in wanted.items() if package not in row.pins and row.add.get(package) != spec
    }
    if not new:
        return None
    changed = _extended(row, new, table.locks.get(row.id))
    if isinstance(changed, ExporterRow):
        return replace(cell, exporter=replace(cell.exporter, row=changed.id), exporter_row=changed), words
    exporter = replace(cell.exporter, row=changed.id) if together else cell.exporter
    return replace(cell, exporter=exporter, converter=changed), words


def _extended(row: AnyRow, new: dict[str, str], lock: Lock | None) -> AnyRow:
    """A row of its own, resolved for the same Python as of the same day, so that nothing else changes."""
    return row.model_copy(
        update={
            "id": with_ranges(row.id, new),
            "add": {**row.add, **new},
            "python": lock.python if lock else row.python,
            "as_of": lock.as_of if lock else row.as_of,
        }
    )


def with_ranges(name: str, ranges: Mapping[str, str]) -> str:
    """Name of a row that has these ranges beside its own."""
    return changed_id(name, [f"{package}{_spelled(spec)}" for package, spec in sorted(ranges.items())])


def _spelled(spec: str) -> str:
    """A version range in letters that names of files and images may have."""
    for sign, word in _SIGNS.items():
        spec = spec.replace(sign, word)
    return re.sub(r"[^\w.-]", "", spec)
