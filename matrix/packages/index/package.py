"""A package as a project page of an index describes it: files with versions, tags, upload times and yanks."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

# Not allowed by PEP 440, but old releases declare `>=3.6.*`, and uv reads it as `>=3.6`.
_STAR_IN_ORDER = re.compile(r"((?:>=|<=|>|<|~=)\s*[0-9.]*[0-9])\.\*")

# manylinux_2_28 is the platform that `locks/resolve.py` asks uv for.
_GLIBC = 28
_OLDEST_GLIBC = 5
_OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True)
class ReleasedFile:
    """A wheel, or a source package, which has no tags.

    `uploaded` and `sha256` are None, `size` (bytes) is 0 where the index does not give them. `yanked_reason` may be
    empty for a yanked file (PEP 592). `url` may be relative to the project page.
    """

    filename: str
    version: Version
    kind: Literal["wheel", "sdist"]
    tags: frozenset[Tag] = frozenset()
    requires_python: str | None = None
    uploaded: dt.datetime | None = None
    yanked: bool = False
    yanked_reason: str = ""
    sha256: str | None = None
    url: str = ""
    size: int = 0

    def allows(self, python: str) -> bool:
        """Return whether Requires-Python admits some patch release of Python `X.Y`. If unreadable, it admits all."""
        try:
            wanted = SpecifierSet(_STAR_IN_ORDER.sub(r"\1", self.requires_python or ""))
        except InvalidSpecifier:
            return True
        return any(wanted.contains(f"{python}.{patch}", prereleases=True) for patch in (0, 99))


@dataclass(frozen=True)
class Package:
    """The files of a package whose names are those of a wheel or a source package, in the order of the page.

    `hashes` are the sha256 of all files, of eggs and installers too.
    """

    name: str
    files: tuple[ReleasedFile, ...] = ()
    hashes: frozenset[str] = frozenset()

    @cached_property
    def dated(self) -> bool:
        """Whether the index gives upload times (PEP 700): an index that has them gives one for some file."""
        return not self.files or any(file.uploaded for file in self.files)

    @cached_property
    def versions(self) -> Mapping[Version, tuple[ReleasedFile, ...]]:
        """The files of every version, in ascending order of versions."""
        found: dict[Version, list[ReleasedFile]] = {}
        for file in self.files:
            found.setdefault(file.version, []).append(file)
        return {version: tuple(found[version]) for version in sorted(found)}

    @cached_property
    def first_uploads(self) -> Mapping[Version, dt.date]:
        """The day (UTC) of the first upload of every version that has an upload time."""
        dates: dict[Version, dt.date] = {}
        for file in self.files:
            if file.uploaded:
                date = file.uploaded.date()
                dates[file.version] = min(dates.get(file.version, date), date)
        return dates

    def yanked(self, version: Version) -> bool:
        """Return whether a version exists and all its files are yanked."""
        files = self.versions.get(version, ())
        return bool(files) and all(file.yanked for file in files)

    def yanked_reason(self, version: Version) -> str:
        """Return the reason the maintainers gave for yanking a version, '' where they gave none."""
        return next((file.yanked_reason for file in self.versions.get(version, ()) if file.yanked_reason), "")


def parse_page(name: str, page: Mapping[str, Any]) -> Package:
    """Parse a project page (PEP 691). Raises ValueError, KeyError or TypeError for anything else."""
    files, hashes = [], set()
    for item in page["files"]:
        sha256 = (item.get("hashes") or {}).get("sha256")
        hashes |= {sha256} if sha256 else set()
        file = _file(item, sha256)
        if file is not None:
            files.append(file)
    return Package(canonicalize_name(name), tuple(files), frozenset(hashes))


def _file(item: Mapping[str, Any], sha256: str | None) -> ReleasedFile | None:
    filename = str(item.get("filename", ""))
    kind: Literal["wheel", "sdist"] = "wheel" if filename.endswith(".whl") else "sdist"
    tags: frozenset[Tag] = frozenset()
    try:
        if kind == "wheel":
            _, version, _, tags = parse_wheel_filename(filename)
        else:
            _, version = parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None
    # false, true, or the reason as text; an empty one counts as yanked (PEP 592).
    yanked = item.get("yanked", False)
    return ReleasedFile(
        filename=filename,
        version=version,
        kind=kind,
        tags=tags,
        requires_python=item.get("requires-python") or None,
        uploaded=_time(item.get("upload-time")),
        yanked=yanked is not False and yanked is not None,
        yanked_reason=yanked if isinstance(yanked, str) else "",
        sha256=sha256,
        url=str(item.get("url") or ""),
        size=item.get("size") or 0,
    )


def _time(text: object) -> dt.datetime | None:
    try:
        time = dt.datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        return None
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)


def usable(file: ReleasedFile, python: str) -> bool:
    """Return whether a file is a wheel, yanked or not, that CPython `X.Y` on Linux x86-64 with glibc 2.28 installs."""
    return file.kind == "wheel" and file.allows(python) and not file.tags.isdisjoint(wheel_tags(python))


@cache
def wheel_tags(python: str) -> frozenset[Tag]:
    """Return the tags of all wheels that CPython `X.Y` accepts on the platform that locks are made for."""
    major, minor = map(int, python.split("."))
    interpreter = f"cp{major}{minor}"
    # PEP 3149's `m` was dropped with Python 3.8.
    abi = f"{interpreter}m" if (major, minor) < (3, 8) else interpreter
    platforms = [*_platforms()]
    compatible = compatible_tags((major, minor), interpreter, platforms)
    return frozenset([*cpython_tags((major, minor), [abi], platforms), *compatible])


def _platforms() -> Iterator[str]:
    for glibc in range(_GLIBC, _OLDEST_GLIBC - 1, -1):
        yield f"manylinux_2_{glibc}_x86_64"
        if old := _OLD_NAMES.get(glibc):
            yield f"{old}_x86_64"
