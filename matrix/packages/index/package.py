"""One package as the page of an index shows it: every file with its version, tags, upload time and yank."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

# Not allowed by PEP 440, but old releases say `>=3.6.*`, and uv takes it for `>=3.6`.
_STAR_IN_ORDER = re.compile(r"((?:>=|<=|>|<|~=)\s*[0-9.]*[0-9])\.\*")


@dataclass(frozen=True)
class ReleasedFile:
    """A wheel or a source package. `uploaded` is None where the index does not say; `sha256` likewise. A source
    package has no tags. `yanked_reason` may be empty though the file is yanked (PEP 592)."""

    filename: str
    version: Version
    kind: Literal["wheel", "sdist"]
    tags: frozenset[Tag] = frozenset()
    requires_python: str | None = None
    uploaded: dt.datetime | None = None
    yanked: bool = False
    yanked_reason: str = ""
    sha256: str | None = None

    def allows(self, python: str) -> bool:
        """Whether Requires-Python lets some patch release of Python `X.Y` in; what cannot be read lets all in."""
        try:
            wanted = SpecifierSet(_STAR_IN_ORDER.sub(r"\1", self.requires_python or ""))
        except InvalidSpecifier:
            return True
        return any(wanted.contains(f"{python}.{patch}", prereleases=True) for patch in (0, 99))


@dataclass(frozen=True)
class Package:
    """All files of a package that have a wheel's or a source package's name, as on the page. `hashes` are the sha256
    of all files, those of other kinds (eggs, installers) too."""

    name: str
    files: tuple[ReleasedFile, ...] = ()
    hashes: frozenset[str] = frozenset()

    @cached_property
    def dated(self) -> bool:
        """Whether the index gives upload times (PEP 700): for no file at all means that it does not."""
        return not self.files or any(file.uploaded for file in self.files)

    @cached_property
    def versions(self) -> Mapping[Version, tuple[ReleasedFile, ...]]:
        """The files of every version, in the order of versions."""
        found: dict[Version, list[ReleasedFile]] = {}
        for file in self.files:
            found.setdefault(file.version, []).append(file)
        return {version: tuple(found[version]) for version in sorted(found)}

    @cached_property
    def first_uploads(self) -> Mapping[Version, dt.date]:
        """The day (UTC) of the first upload of every version that has one."""
        dates: dict[Version, dt.date] = {}
        for file in self.files:
            if file.uploaded:
                date = file.uploaded.date()
                dates[file.version] = min(dates.get(file.version, date), date)
        return dates

    def yanked(self, version: Version) -> bool:
        """Whether all files of this version are yanked. A version that is not there is not yanked."""
        files = self.versions.get(version, ())
        return bool(files) and all(file.yanked for file in files)

    def yanked_reason(self, version: Version) -> str:
        """What the maintainers gave as the reason, '' where they gave none."""
        return next((file.yanked_reason for file in self.versions.get(version, ()) if file.yanked_reason), "")


def parse_page(name: str, page: Mapping[str, Any]) -> Package:
    """The Package of a PEP 691 project page. Raises ValueError, KeyError or TypeError where it is none."""
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
    )


def _time(text: object) -> dt.datetime | None:
    if not isinstance(text, str) or not text:
        return None
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)
