"""Converter rows by how near they are to each other, for one that was made on the spot. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from packaging.version import Version

from matrix.config.model import ConverterRow


def nearest(row: ConverterRow, rows: Mapping[str, ConverterRow], among: Collection[str]) -> str | None:
    """The row itself or the one most like it: onnx-tf counts before TensorFlow, and that before onnx."""
    if row.id in among:
        return row.id
    return min((name for name in among if name in rows), key=lambda name: (*_far(row, rows[name]), name), default=None)


def _far(one: ConverterRow, two: ConverterRow) -> tuple[float, float, float]:
    apart = [abs(_place(one, package) - _place(two, package)) for package in ("onnx-tf", "tensorflow", "onnx")]
    return apart[0], apart[1], apart[2]


def _place(row: ConverterRow, package: str) -> float:
    """A version as a number: a major step is far, a patch near."""
    version = Version(row.pins[package])
    return version.major * 100 + version.minor + version.micro / 100
