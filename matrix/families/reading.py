"""What the converters of rows can read."""

from __future__ import annotations

from collections.abc import Mapping

from matrix.families.registry import family_of
from matrix.packages.lock import Lock
from matrix.packages.versions import release_of
from matrix.table.model import Config, ConverterRow, OnnxRelease


def read_by(config: Config, row: ConverterRow, locks: Mapping[str, Lock]) -> OnnxRelease | None:
    """Return the ONNX release that says which files the converter of a row reads; None where no release says it."""
    reads = family_of(row).reads
    return release_of(config, row, reads, locks) if reads is not None else None


def newest_opset(config: Config, row: ConverterRow, locks: Mapping[str, Lock]) -> int:
    """Return the newest opset that the converter of a row reads; where no release says it, the newest there is."""
    known = read_by(config, row, locks)
    return known.opset if known is not None else max((release.opset for release in config.onnx), default=0)
