"""Apply a change of a remedy to a cell. Pure: a cell, its result and the table in, another cell out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from packaging.specifiers import SpecifierSet

from matrix.families import family_of
from matrix.families.registry import newest_opset, read_by
from matrix.judging.cells import CellResult
from matrix.judging.remedy_changes import Change, facts
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell, Step
from matrix.table.exporters import Exporter, expand
from matrix.table.ids import changed_id
from matrix.table.model import Config, ConverterRow, ExporterRow, Role, Row

AnyRow = TypeVar("AnyRow", bound=Row)

# Opsets for onnx.version_converter; above those of any release in the table.
_OPSETS = range(1, 64)

_SIGNS = {"~=": "-as-", "==": "-", "<=": "-upto-", ">=": "-from-", "!=": "-not-", "<": "-below-", ">": "-above-"}


@dataclass(frozen=True)
class Table:
    """The part of matrix.yml and of the locks that changes depend on."""

    config: Config
    locks: Mapping[str, Lock]

    def ir_version(self, cell: Cell) -> int | None:
        """Return the newest IR version that the converter's onnx reads; None if unknown."""
        release = read_by(self.config, cell.converter, self.locks)
        return release.ir if release is not None else None

    def opset(self, cell: Cell) -> int:
        """Return the newest opset that the converter reads."""
        return newest_opset(self.config, cell.converter, self.locks)

    def torchscript(self, cell: Cell) -> Exporter | None:
        """Return the TorchScript exporter of the cell's torch."""
        own = (e for e in expand(self.config) if e.row == cell.exporter.row and e.via == "torchscript")
        return next(own, None) if cell.exporter.via == "dynamo" else None


def applied(cell: Cell, change: Change, result: CellResult, table: Table, role: Role | None = None) -> Cell | None:
    """Return the cell with one more change; None if it is impossible or would change nothing.

    `result` is that of `cell`: the IR version and opset of its file are what is changed. Packages are added to the
    environment that failed, or to that of `role`.
    """
    ir, opset = _of_file(result)
    newest = table.opset(cell)
    of_family = family_of(cell.converter).facts(cell.converter.pins)
    wanted = change.concrete(facts(of_family, opset=opset, onnx_opset=newest))
    if wanted is None or (wanted.kind != "add" and family_of(cell.converter).source == "torch"):
        # Without a file there is nothing to change, and such a converter takes no other argument.
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
        case "fix" if not cell.exporter.writes:
            made = _altered(cell, "fix", True, "axes fixed")
        case "spell":
            made = _altered(cell, "spell", True, "plainer operators")
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
    """Return the IR version and opset of the file that was converted."""
    found = (result.altered[-1] if result.altered else result.export).facts
    ir, opset = found.get("ir_version"), found.get("opset_written")
    return (ir if isinstance(ir, int) else None), (opset if isinstance(opset, int) else None)


def _lower_ir(cell: Cell, ir: int | None, wanted: str, table: Table) -> tuple[Cell, str] | None:
    """Lower it to what the converter's onnx reads ("table"), or to a number."""
    limit = int(wanted) if wanted.isdigit() else table.ir_version(cell)
    if ir is None or limit is None or ir <= limit:
        return None
    return _altered(cell, "ir_version", limit, f"ir_version {ir}→{limit}")


def _export_at(cell: Cell, written: int | None, spec: str, newest: int) -> tuple[Cell, str] | None:
    if not cell.exporter.writes:
        # A user's file cannot be exported again: it is translated.
        return _convert_to(cell, written, spec, newest)
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
    """Return the cell in an environment with these packages added. The pins of the row stay."""
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
    """Return a derived row, resolved for the same Python as of the same day, so that nothing else changes."""
    return row.model_copy(
        update={
            "id": with_ranges(row.id, new),
            "add": {**row.add, **new},
            "python": lock.python if lock else row.python,
            "as_of": lock.as_of if lock else row.as_of,
        }
    )


def with_ranges(name: str, ranges: Mapping[str, str]) -> str:
    """Return the name of a row that has these ranges in addition to its own."""
    return changed_id(name, [f"{package}{_spelled(spec)}" for package, spec in sorted(ranges.items())])


def _spelled(spec: str) -> str:
    """Spell a version range with characters that file and image names allow."""
    for sign, word in _SIGNS.items():
        spec = spec.replace(sign, word)
    return re.sub(r"[^\w.-]", "", spec)
