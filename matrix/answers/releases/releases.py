"""Select the releases of a package that are news for the table, and those that cannot become a row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from packaging.version import Version

from matrix.packages.index import Package, ReleasedFile, usable


@dataclass(frozen=True)
class NewRelease:
    """A release that could be a row, with the day of its first upload (UTC)."""

    package: str
    version: Version
    uploaded: dt.date

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


@dataclass(frozen=True)
class LeftOut:
    """A release newer than the table that cannot become a row, and why."""

    package: str
    version: Version
    why: str


def news(
    known: Collection[Version],
    noted: Collection[Version],
    package: Package,
    pythons: Sequence[str],
    today: dt.date,
    substitute: Package | None = None,
) -> tuple[tuple[NewRelease, ...], tuple[LeftOut, ...]]:
    """Return the newest release that can become a row of every minor series since that of the newest known version,
    oldest first; and newer releases that cannot.

    `substitute` is the package that is installed in place of this one if it has the version. A series whose newest
    usable release is `noted`, so known to have no lock, is not news. The index must give upload dates.
    """
    newest = max(known)
    new: list[NewRelease] = []
    left: list[LeftOut] = []
    later = [version for version in package.versions if version > newest]
    for series, members in groupby(later, key=_series):
        newest_first = sorted(members, reverse=True)
        final = [version for version in newest_first if not version.is_prerelease]
        if not final and series != _series(newest):
            # A pre-release of a series that the table has is not worth reporting.
            left.append(LeftOut(package.name, newest_first[0], "a pre-release"))
        for version in final:
            files = [*package.versions[version], *(substitute.versions.get(version, ()) if substitute else ())]
            why = _obstacle(files, pythons, today)
            if why is not None:
                left.append(LeftOut(package.name, version, why))
                continue
            if version not in noted:
                new.append(NewRelease(package.name, version, package.first_uploads[version]))
            break
    return tuple(new), tuple(left)


def _series(version: Version) -> tuple[int, int, int]:
    return version.epoch, version.major, version.minor


def _obstacle(files: Sequence[ReleasedFile], pythons: Sequence[str], today: dt.date) -> str | None:
    """Return why a release with these files cannot be a row; None if nothing prevents it."""
    standing = [file for file in files if not file.yanked]
    if not standing:
        reason = next((file.yanked_reason for file in files if file.yanked_reason), "")
        return f"yanked: {' '.join(reason.split())}" if reason else "yanked"
    wheels = [file for file in standing if any(usable(file, python) for python in pythons)]
    if not wheels:
        return f"no wheel for Linux x86-64 and a Python of the table ({_offered(standing)})"
    if all(file.uploaded is None or file.uploaded.date() >= today for file in wheels):
        # A lock as of a day excludes uploads of that day.
        return "uploaded today; it can be locked from tomorrow on"
    return None


def _offered(files: Iterable[ReleasedFile]) -> str:
    """Summarise the wheels that exist instead."""
    interpreters = sorted({tag.interpreter for file in files for tag in file.tags})
    return f"wheels for {', '.join(interpreters)}" if interpreters else "no wheels at all"
