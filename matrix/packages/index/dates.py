"""When the versions of a package were uploaded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from packaging.version import Version

from matrix.packages.index.releases import DatesUnknown, Releases
from matrix.packages.index.settings import IndexSettings


@dataclass
class UploadDates:
    """First upload date of every version of a package, asked once per package."""

    settings: IndexSettings
    releases: Releases | None = None
    _known: dict[str, Mapping[Version, dt.date]] = field(default_factory=dict)

    def of(self, package: str) -> Mapping[Version, dt.date]:
        """Version to date, empty where the index gives no dates. Raises what `Releases.of` does: Indeterminate if it
        does not answer, and PackageUnknown if it answers that it does not have the package."""
        if package not in self._known:
            self._known[package] = self._ask(package)
        return self._known[package]

    def needed(self, package: str) -> Mapping[Version, dt.date]:
        """The same for those who resolve as of a day: uv leaves out every file without an upload time, and what then
        looks like a row without a solution says nothing about it. Raises DatesUnknown where there is no date."""
        dates = self.of(package)
        if not dates:
            raise DatesUnknown(Releases(self.settings).without_dates(package))
        return dates

    def _ask(self, package: str) -> Mapping[Version, dt.date]:
        if self.releases is None:
            self.releases = Releases(self.settings)
        return self.releases.of(package).first_uploads
