"""Query the package index: one request for each package."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

from matrix.core.errors import Indeterminate
from matrix.core.text import redact
from matrix.packages.index.package import Package, parse_page
from matrix.packages.index.settings import IndexSettings

if TYPE_CHECKING:
    import requests

_JSON = "application/vnd.pypi.simple.v1+json"
_AT_ONCE = 8

# With a hundred packages queried at once, a name server now and then fails one look-up.
_RETRIES, _WAIT_SECONDS = 3, 0.2


class PackageUnknown(Indeterminate):
    """The index has no such package. A wrong address of the index looks the same: this is not a finding about a row."""


class PageUnreadable(Indeterminate):
    """The index answers, but not in JSON (PEP 691)."""


class DatesUnknown(Indeterminate):
    """The index gives no upload times (PEP 700), and a query needs them."""


@dataclass
class Releases:
    """All files of packages, from the project pages of the main index; further indexes and find-links are ignored."""

    settings: IndexSettings
    _known: dict[str, Package] = field(default_factory=dict, repr=False)

    def of(self, package: str) -> Package:
        """Return a package. Raises PackageUnknown where the index does not have it, PageUnreadable where the answer is
        not JSON, Indeterminate where there is no answer."""
        name = canonicalize_name(package)
        if name not in self._known:
            self._known[name] = self._ask(package)
        return self._known[name]

    def dated(self, package: str) -> Package:
        """Return a package with upload times. Raises DatesUnknown where the index gives none for it, and the errors of
        `of`."""
        found = self.of(package)
        if not found.dated:
            raise self.dates_unknown(package)
        return found

    def of_all(self, packages: Iterable[str]) -> dict[str, Package]:
        """Return several packages by normalised name; one that the index does not have is there without files.

        Raises PackageUnknown where the index has none of them (its address must be wrong), PageUnreadable and
        Indeterminate as `of` does.
        """
        names = sorted({canonicalize_name(package) for package in packages})
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = dict(zip(names, pool.map(self._or_unknown, names), strict=True))
        unknown = [answer for answer in found.values() if isinstance(answer, PackageUnknown)]
        if unknown and len(unknown) == len(found):
            raise unknown[0]
        return {name: answer if isinstance(answer, Package) else Package(name) for name, answer in found.items()}

    def dates_unknown(self, package: str) -> DatesUnknown:
        """Return the error for a package without upload times."""
        return DatesUnknown(
            f"the package index at {redact(self.settings.index)} gives no upload times for {package} (PEP 700), "
            "so it cannot be used to resolve as of a date; name one that does with --index-url or UV_DEFAULT_INDEX"
        )

    def _or_unknown(self, package: str) -> Package | PackageUnknown:
        try:
            return self.of(package)
        except PackageUnknown as error:
            return error

    @cached_property
    def _session(self) -> requests.Session:
        """One session for all packages, which reuses connections. Only failures to connect are retried."""
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        session = requests.Session()
        again = Retry(total=None, connect=_RETRIES, read=0, status=0, other=0, backoff_factor=_WAIT_SECONDS)
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=_AT_ONCE, max_retries=again))
        return session

    def _ask(self, package: str) -> Package:
        import requests

        index = redact(self.settings.index)
        url = f"{self.settings.index.rstrip('/')}/{package}/"
        try:
            answer = self._session.get(
                url, headers={"Accept": _JSON}, timeout=60, verify=self.settings.certificates or True
            )
            if answer.status_code == 404:
                raise PackageUnknown(
                    f"the package index at {index} has no package {package}; check --index-url or UV_DEFAULT_INDEX"
                )
            # 406: the index has no JSON. Reported below.
            if answer.status_code != 406:
                answer.raise_for_status()
        except requests.RequestException as error:
            raise Indeterminate(
                f"the package index did not answer about {package} ({type(error).__name__}); "
                "check the network, --index-url or UV_DEFAULT_INDEX, then run the same command again"
            ) from error
        try:
            return parse_page(package, answer.json())
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            kind = answer.headers.get("Content-Type", "").split(";")[0].strip() or "an unknown type"
            raise PageUnreadable(
                f"the package index at {index} answers about {package} with {kind} instead of JSON (PEP 691), the only "
                "form with upload times; name one that has it with --index-url or UV_DEFAULT_INDEX"
            ) from error


@dataclass
class UploadDates:
    """The first upload date of every version of a package."""

    settings: IndexSettings
    releases: Releases | None = None

    def of(self, package: str) -> Mapping[Version, dt.date]:
        """Map version to date, nothing where the index gives no dates. Raises the errors of `Releases.of`:
        PackageUnknown, PageUnreadable, Indeterminate."""
        if self.releases is None:
            self.releases = Releases(self.settings)
        return self.releases.of(package).first_uploads

    def needed(self, package: str) -> Mapping[Version, dt.date]:
        """Return the dates for a resolution as of a day.

        Raises DatesUnknown where there are none, and the errors of `of`: uv ignores files without an upload time, so
        the row would wrongly seem to have no solution.
        """
        if dates := self.of(package):
            return dates
        raise Releases(self.settings).dates_unknown(package)
