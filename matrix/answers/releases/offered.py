"""The package index as the release watch sees it: releases, files of a release, and locks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from packaging.version import Version

from matrix.answers.releases.wheels import Wheels
from matrix.core.errors import Indeterminate
from matrix.environments.locks.request import Request
from matrix.environments.locks.resolve import resolve
from matrix.packages.index import IndexSettings, Package, Releases, UploadDates
from matrix.packages.lock import Lock


class Offered(Protocol):
    """What the survey asks. All of it raises Indeterminate where there is no answer."""

    def package(self, name: str) -> Package:
        """All files of a package. Raises PackageUnknown for one that is not there, DatesUnknown where the index gives
        no upload times."""
        ...

    def read(self, name: str, version: Version, members: tuple[str, ...]) -> dict[str, str]:
        """The files `members` of a release, as far as it has them, as text."""
        ...

    def lock(self, request: Request) -> Lock:
        """The lock of a request; nothing is written."""
        ...


@dataclass
class OfferedReleases:
    """The index of the user's settings."""

    settings: IndexSettings
    tell: Callable[[str], None] = lambda _: None
    _releases: Releases = field(init=False)
    _dates: UploadDates = field(init=False)

    def __post_init__(self) -> None:
        self._releases = Releases(self.settings)
        self._dates = UploadDates(self.settings, self._releases)

    def package(self, name: str) -> Package:
        return self._releases.dated(name)

    def read(self, name: str, version: Version, members: tuple[str, ...]) -> dict[str, str]:
        files = self._releases.of(name).versions.get(version, ())
        wheels = [file for file in files if file.kind == "wheel" and not file.yanked]
        if not wheels:
            raise Indeterminate(f"{name} {version} has no wheel to read")
        self.tell(f"{name} {version}: reading {', '.join(members)}")
        return Wheels(self.settings).read(name, wheels, members)

    def lock(self, request: Request) -> Lock:
        return resolve(request, self.settings, self._dates, self.tell)
