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
    """Return a package's version, None where neither the row nor its lock has it."""
    if package in row.pins:
        return row.pins[package]
    lock = locks.get(row.id)
    return lock.packages.get(package) if lock else None


def release_of(config: Config, row: Row, package: str, locks: Mapping[str, Lock]) -> OnnxRelease:
    """Return the release in the table for the `package` whose version decides which files a row reads (`Family.reads`).

    Where the table does not have that version, the newest before it; for an unknown version, or one older than all,
    the oldest.
    """
    known = sorted(config.onnx, key=lambda release: Version(release.version))
    wanted = version_of(row, package, locks)
    fitting = [release for release in known if wanted is not None and Version(release.version) <= Version(wanted)]
    return fitting[-1] if fitting else known[0]
