"""What the index has of a package, asked once."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from matrix.core.errors import Indeterminate
from matrix.core.text import redact
from matrix.packages.index.package import Package, parse_page
from matrix.packages.index.settings import IndexSettings

if TYPE_CHECKING:
    import requests

_JSON = "application/vnd.pypi.simple.v1+json"
_AT_ONCE = 8

# A hundred packages asked at once are a hundred chances for a name server to stumble.
_RETRIES, _WAIT_SECONDS = 3, 0.2


class PackageUnknown(Indeterminate):
    """The index has no such package. A wrong address looks the same, so it says nothing about a row."""


class PageUnreadable(Indeterminate):
    """The index answers, but not as JSON (PEP 691)."""


class DatesUnknown(Indeterminate):
    """The index gives no upload times (PEP 700), and something was asked that needs them."""


@dataclass
class Releases:
    """All files of packages, from the page of the main index; further indexes and find-links are not looked at."""

    settings: IndexSettings
    _known: dict[str, Package] = field(default_factory=dict, repr=False)

    def of(self, package: str) -> Package:
        """Raises PackageUnknown where the index has no such package, PageUnreadable where it does not answer as JSON,
        Indeterminate where it does not answer."""
        name = canonicalize_name(package)
        if name not in self._known:
            self._known[name] = self._ask(package)
        return self._known[name]

    def dated(self, package: str) -> Package:
        """The same for those who need dates: raises DatesUnknown where the index gives none for the package."""
        found = self.of(package)
        if not found.dated:
            raise DatesUnknown(self.without_dates(package))
        return found

    def of_all(self, packages: Iterable[str]) -> dict[str, Package]:
        """Several at once, by normalised name; one that the index does not have is there without files.

        Raises what `of` does, PackageUnknown only where the index has none of them: then its address is wrong.
        """
        names = sorted({canonicalize_name(package) for package in packages})
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = dict(zip(names, pool.map(self._or_unknown, names), strict=True))
        unknown = [answer for answer in found.values() if isinstance(answer, PackageUnknown)]
        if unknown and len(unknown) == len(found):
            raise unknown[0]
        return {name: answer if isinstance(answer, Package) else Package(name) for name, answer in found.items()}

    def without_dates(self, package: str) -> str:
        """The sentence for an index that gives no upload times."""
        return (
            f"the package index at {redact(self.settings.index)} gives no upload times for {package} (PEP 700), "
            "so nothing can be resolved as of a date with it; name one that does with --index-url or UV_DEFAULT_INDEX"
        )

    def _or_unknown(self, package: str) -> Package | PackageUnknown:
        try:
            return self.of(package)
        except PackageUnknown as error:
            return error

    @cached_property
    def _session(self) -> requests.Session:
        """One for all packages: connections are kept. What did not connect is tried again, no answer is."""
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
            # 406: it has no JSON, and says so.
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
            said = answer.headers.get("Content-Type", "").split(";")[0].strip() or "something else"
            raise PageUnreadable(
                f"the package index at {index} answers about {package} with {said} instead of the JSON of PEP 691, "
                "which alone says when a file was uploaded; name one that has it with --index-url or UV_DEFAULT_INDEX"
            ) from error
