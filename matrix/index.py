"""Where packages come from: the user's index settings, and upload dates from the index's JSON API (PEP 691/700)."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from matrix.errors import Indeterminate
from matrix.redact import redact

DEFAULT_INDEX = "https://pypi.org/simple"
_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True)
class IndexSettings:
    """Index, further indexes and folders or pages with wheels; options win over UV_*, UV_* over PIP_*."""

    index: str = DEFAULT_INDEX
    extra: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    certificates: str | None = None

    @classmethod
    def resolve(
        cls,
        environ: Mapping[str, str] | None = None,
        index: str | None = None,
        find_links: tuple[str, ...] = (),
    ) -> IndexSettings:
        """From options and the variables uv and pip read; pip's are honoured because most machines have them."""
        env = os.environ if environ is None else environ
        return cls(
            index=index or _first(env, "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL") or DEFAULT_INDEX,
            extra=_words(_first(env, "UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL")),
            find_links=find_links or _words(_first(env, "UV_FIND_LINKS", "PIP_FIND_LINKS")),
            certificates=_first(env, "SSL_CERT_FILE", "PIP_CERT"),
        )

    def without_find_links(self) -> IndexSettings:
        return replace(self, find_links=())

    def variables(self) -> dict[str, str]:
        """Environment variables for uv: credentials in an address stay off the command line."""
        env = {"UV_DEFAULT_INDEX": self.index}
        if self.extra:
            env["UV_INDEX"] = " ".join(self.extra)
        if self.find_links:
            env["UV_FIND_LINKS"] = ",".join(self.find_links)
        if self.certificates:
            env["SSL_CERT_FILE"] = self.certificates
        return env

    def offers(self, distribution: str, version: str) -> bool:
        """Whether a wheel of exactly this version lies in a find-links folder; a remote page is taken on trust."""
        name = distribution.replace("-", "_")
        for place in self.find_links:
            folder = local_folder(place)
            if folder is None or any(folder.glob(f"{name}-{version}-*.whl")):
                return True
        return False


def local_folder(place: str) -> Path | None:
    """The folder that a find-links entry names, None where it is a page."""
    parts = urlsplit(place)
    if parts.scheme in ("http", "https"):
        return None
    return Path(parts.path if parts.scheme == "file" else place)


class PackageUnknown(Indeterminate):
    """The index has no such package. A wrong address looks the same, so it says nothing about a row."""


@dataclass
class UploadDates:
    """First upload date of every version of a package, asked once per package."""

    settings: IndexSettings
    _known: dict[str, dict[Version, dt.date]] = field(default_factory=dict)

    def of(self, package: str) -> dict[Version, dt.date]:
        """Version to date, empty where the index gives no dates. Raises Indeterminate if it does not answer, and
        PackageUnknown if it answers that it does not have the package."""
        if package not in self._known:
            self._known[package] = self._ask(package)
        return self._known[package]

    def _ask(self, package: str) -> dict[Version, dt.date]:
        import requests

        url = f"{self.settings.index.rstrip('/')}/{package}/"
        try:
            answer = requests.get(url, headers={"Accept": _JSON}, timeout=60, verify=self.settings.certificates or True)
            if answer.status_code == 404:
                raise PackageUnknown(
                    f"the package index at {redact(self.settings.index)} has no package {package}; "
                    "check --index-url or UV_DEFAULT_INDEX"
                )
            answer.raise_for_status()
            files = answer.json().get("files", [])
        except (requests.RequestException, ValueError) as error:
            raise Indeterminate(
                f"the package index did not answer about {package} ({type(error).__name__}); "
                "check the network, --index-url or UV_DEFAULT_INDEX, then run the same command again"
            ) from error
        dates: dict[Version, dt.date] = {}
        for item in files:
            version = _version_of(str(item.get("filename", "")))
            uploaded = item.get("upload-time")
            if version is None or not uploaded:
                continue
            date = dt.datetime.fromisoformat(uploaded).date()
            dates[version] = min(dates.get(version, date), date)
        return dates


def _version_of(filename: str) -> Version | None:
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[1]
        return parse_sdist_filename(filename)[1]
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None


def _first(env: Mapping[str, str], *names: str) -> str | None:
    return next((env[name] for name in names if env.get(name)), None)


def _words(text: str | None) -> tuple[str, ...]:
    return tuple((text or "").replace(",", " ").split())
