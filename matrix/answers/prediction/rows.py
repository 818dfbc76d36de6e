"""Converter rows by how near they are to each other, for one that was made on the spot. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from packaging.version import Version

from matrix.families import family_named, family_of
from matrix.table.model import ConverterRow


class ConverterRelease(NamedTuple):
    """A release of a converter: the family, and the version of its first package."""

    family: str
    version: str

    def __str__(self) -> str:
        return f"{family_named(self.family).package} {self.version}"


def converter_release(row: ConverterRow) -> ConverterRelease:
    """The release of the converter itself that a row has."""
    return ConverterRelease(row.family, row.pins[family_of(row).package])


def nearest(row: ConverterRow, rows: Mapping[str, ConverterRow], among: Collection[str]) -> str | None:
    """The row itself or the one most like it of the same family. The converter itself counts first, then what runs what
    it makes, then its other packages."""
    if row.id in among:
        return row.id
    alike = (name for name in among if name in rows and rows[name].family == row.family)
    return min(alike, key=lambda name: (*_far(row, rows[name]), name), default=None)


def _far(one: ConverterRow, two: ConverterRow) -> tuple[float, ...]:
    made = family_of(one)
    packages = sorted(made.packages, key=lambda package: (package != made.package, package != made.runtime))
    return tuple(abs(_place(one, package) - _place(two, package)) for package in packages)


def _place(row: ConverterRow, package: str) -> float:
    """A version as a number: a major step is far, a patch near. One that the row leaves open counts as 0."""
    version = Version(row.pins.get(package, "0"))
    return version.major * 100 + version.minor + version.micro / 100
