"""The package index as a source of releases, of files in their wheels, and of locks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from packaging.version import Version

from matrix.answers.releases.wheels import Wheels
from matrix.core.errors import Indeterminate
from matrix.environments.locks.request import Request
from matrix.environments.locks.resolve import resolve
from matrix.packages.index import IndexSettings, Package, Releases, UploadDates
from matrix.packages.lock import Lock


@dataclass
class IndexReleases:
    """The index of the user's settings. Implements `ReleaseSource`."""

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
        names = {file.filename for file in files if file.kind == "wheel" and not file.yanked}
        if not names:
            raise Indeterminate(f"{name} {version} has no wheel to read")
        self.tell(f"{name} {version}: reading {', '.join(members)}")
        return Wheels(self.settings).read(name, names, members)

    def lock(self, request: Request) -> Lock:
        return resolve(request, self.settings, self._dates, self.tell)
