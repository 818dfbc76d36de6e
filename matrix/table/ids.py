"""Ids as values: rows, environments, cells and arrays, each with one parser and one printer. Pure.

As text they are in the database, in files, on the command line and on pages; only this module splits or joins it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple, TypeVar

from matrix.core.errors import UsageError

Side = Literal["exporter", "converter"]
Value = TypeVar("Value")

# Separates a row from the time it is resolved as of, if not its own. Ids of the table do not contain it.
_TIME = "~"
NOW = "now"

# The family of rows and observations that state none: once it was the only one.
FIRST_FAMILY = "onnx-tf"

# Placeholders for the exporter: the model is a file, or its converter takes the torch module itself.
FILE: Literal["file"] = "file"
DIRECT: Literal["direct"] = "direct"

# Ids are parsed for every result of a history, but few are distinct.
_REMEMBERED = 2**17


@dataclass(frozen=True, slots=True, order=True)
class RowId:
    """A row, possibly resolved as of another time: `torch-1.12.1`, `torch-1.12.1~now`.

    `time` is `now`, or the label of a day that a search tried; '' is the row's own time.
    """

    stem: str
    time: str = ""

    @classmethod
    def parse(cls, text: str) -> RowId:
        """Parse the id of a row. Every text is valid."""
        stem, _, time = text.partition(_TIME)
        return cls(stem, time)

    def __str__(self) -> str:
        return f"{self.stem}{_TIME}{self.time}" if self.time else self.stem

    @property
    def own(self) -> RowId:
        """Return the row at its own time."""
        return RowId(self.stem)

    def at(self, time: str) -> RowId:
        """Return the row as of another time."""
        return RowId(self.stem, time)


@dataclass(frozen=True, slots=True, order=True)
class EnvironmentName:
    """The environment of a row, or of one of an exporter's builds: `torch-2.13.0.cpu`, `torch-2.13.0~now.cpu`."""

    row: RowId
    build: str = ""

    @classmethod
    def parse(cls, text: str) -> EnvironmentName:
        """Parse an environment's name. A build is recognised only after `~now`: rows and labels of days may contain
        dots too, and only the table knows the builds of a row.
        """
        row = RowId.parse(text)
        time, _, build = row.time.partition(".")
        return cls(row.at(time), build) if time == NOW else cls(row)

    def __str__(self) -> str:
        return f"{self.row}.{self.build}" if self.build else str(self.row)


def environment_name(row: str, builds: Iterable[str], build: str | None) -> str:
    """Print the name of a row's environment: that of `build` if the row has it among its `builds`."""
    return str(EnvironmentName(RowId.parse(row), build if build and build in builds else ""))


def changed_id(row: str, changes: Iterable[str]) -> str:
    """Print the id of a row derived from another: `ROW+numpy-below-2`."""
    return "".join([row, *(f"+{change}" for change in changes)])


def joint_id(converter: str, exporter: str) -> str:
    """Print the id of the row that has two rows' pins in one environment."""
    return changed_id(converter, [exporter])


@dataclass(frozen=True, slots=True)
class CellId:
    """`model/exporter@opset/row`, without an exporter `model/file/row` or `model/direct/row`.

    `opset` is None without an exporter. `search` is what a search added to the cell, `rename+opset-13-11` or `located`;
    '' for the cell itself. `row` is None if a model was only read: `model/exporter@opset+read`.
    """

    model: str
    exporter: RowId
    opset: int | None
    row: RowId | None
    search: str = ""

    @classmethod
    def parse(cls, text: str, base: str | None = None) -> CellId:
        """Parse a cell's id; for a cell of a search, `base` is the id of the cell it was made for.

        Raises UsageError if the text is not the id of a cell.
        """
        if base is None:
            found = _parse_cell(text)
            if found.row is None:
                raise _no_cell(text)
            return found
        if not text.startswith(f"{base}+"):
            raise UsageError(f"{text!r} does not continue the id of {base!r}")
        return replace(_parse_cell(base), search=text[len(base) + 1 :])

    def __str__(self) -> str:
        parts = [self.model, self.asked]
        if self.row is not None:
            parts.append(str(self.row))
        text = "/".join(parts)
        return f"{text}+{self.search}" if self.search else text

    @property
    def asked(self) -> str:
        """Print what was asked of the exporter: `torch-1.12.1@15`, `file`."""
        return str(self.exporter) if self.opset is None else f"{self.exporter}@{self.opset}"

    @property
    def has_exporter(self) -> bool:
        """Whether an exporter of the table wrote the file."""
        return self.opset is not None

    @property
    def moved(self) -> Side | None:
        """Return which environment of the cell is of another time."""
        if self.row is not None and self.row.time:
            return "converter"
        return "exporter" if self.exporter.time else None

    @property
    def is_now(self) -> bool:
        """Return whether that time is now, rather than a day that a search tried."""
        return NOW in (self.exporter.time, self.row.time if self.row is not None else "")

    @property
    def own(self) -> CellId:
        """Return the cell at its own time."""
        return replace(self, exporter=self.exporter.own, row=self.row.own if self.row is not None else None)

    def of_now(self) -> tuple[CellId, ...]:
        """Return the cells of now: with the converter moved and, if there is one, with the exporter moved."""
        own = self.own
        assert own.row is not None
        converter = replace(own, row=own.row.at(NOW))
        return (converter, replace(own, exporter=own.exporter.at(NOW))) if own.has_exporter else (converter,)

    def environment_of(self, role: str | None) -> str:
        """Print the row that a finding with this role is about: the exporter's, else the converter's."""
        return str(self.exporter if role == "exporter" else self.row)


@lru_cache(maxsize=_REMEMBERED)
def _parse_cell(text: str) -> CellId:
    model, *parts = text.split("/")
    exporter, at, opset = (parts[0] if parts else "").partition("@")
    without = not at and RowId.parse(exporter).stem in (FILE, DIRECT)
    if not (model and all(parts)) or len(parts) not in (1, 2) or not (without or (exporter and opset.isdecimal())):
        raise _no_cell(text)
    found = CellId(
        model,
        RowId.parse(exporter),
        None if without else int(opset),
        RowId.parse(parts[1]) if len(parts) == 2 else None,
    )
    # `@007` is not another spelling of `@7`.
    if str(found) != text:
        raise _no_cell(text)
    return found


def _no_cell(text: str) -> UsageError:
    return UsageError(f"{text!r} is not the id of a cell; a table prints them: model/exporter@opset/converter")


class ArrayKey(NamedTuple):
    """An array of an .npz file: its case, and the name of an input or output, `0/image`."""

    case: str
    name: str

    @classmethod
    def parse(cls, text: str) -> ArrayKey:
        """Parse a key. A name may contain slashes; a key without any is a case without a name."""
        case, _, name = text.partition("/")
        return cls(case, name)

    def __str__(self) -> str:
        return f"{self.case}/{self.name}"


def by_case(arrays: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """Return the arrays of each case by name, in the order of their keys."""
    cases: dict[str, dict[str, Value]] = {}
    for key, array in arrays.items():
        case, name = ArrayKey.parse(key)
        cases.setdefault(case, {})[name] = array
    return cases
