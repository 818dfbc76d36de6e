"""Versions: the minor version, and the one of a package that a row has: pinned, or else from its lock."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.version import Version

from matrix.packages.lock import Lock
from matrix.table.model import Config, OnnxRelease, Row


def minor(version: str) -> str:
    """Return the first two parts: `3.9` of `3.9.18`."""
    return ".".join(version.split(".")[:2])


def version_of(row: Row, package: str, locks: Mapping[str, Lock]) -> str | None:
    """None where neither the row nor its lock has it."""
    if package in row.pins:
        return row.pins[package]
    lock = locks.get(row.id)
    return lock.packages.get(package) if lock else None


def release_of(config: Config, row: Row, package: str, locks: Mapping[str, Lock]) -> OnnxRelease:
    """What the `package` of a row knows whose release says which files it reads (`Family.reads`): by the table, or as
    the newest release before it does. Of a row without a version, the oldest in the table, as of one older than all."""
    known = sorted(config.onnx, key=lambda release: Version(release.version))
    wanted = version_of(row, package, locks)
    fitting = [release for release in known if wanted is not None and Version(release.version) <= Version(wanted)]
    return fitting[-1] if fitting else known[0]
