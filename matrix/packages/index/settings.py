"""The sources of packages: the user's index settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_INDEX = "https://pypi.org/simple"


@dataclass(frozen=True)
class IndexSettings:
    """The index, extra indexes, and folders or pages with wheels. Options override UV_*, UV_* overrides PIP_*."""

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
        """Derive the settings from options and the environment variables of uv and pip."""
        env = os.environ if environ is None else environ
        return cls(
            index=index or _first(env, "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL") or DEFAULT_INDEX,
            extra=_words(_first(env, "UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL")),
            find_links=find_links or _words(_first(env, "UV_FIND_LINKS", "PIP_FIND_LINKS")),
            certificates=_first(env, "SSL_CERT_FILE", "PIP_CERT"),
        )

    def without_find_links(self) -> IndexSettings:
        """Return these settings without the user's own wheels."""
        return replace(self, find_links=())

    def variables(self) -> dict[str, str]:
        """Return environment variables for uv, to keep credentials in URLs off the command line."""
        env = {"UV_DEFAULT_INDEX": self.index}
        if self.extra:
            env["UV_INDEX"] = " ".join(self.extra)
        if self.find_links:
            env["UV_FIND_LINKS"] = ",".join(self.find_links)
        if self.certificates:
            env["SSL_CERT_FILE"] = self.certificates
        return env

    def offers(self, distribution: str, version: str) -> bool:
        """Return whether find-links have a wheel of exactly this version; a remote page is assumed to have it."""
        name = distribution.replace("-", "_")
        for place in self.find_links:
            folder = local_folder(place)
            if folder is None or any(folder.glob(f"{name}-{version}-*.whl")):
                return True
        return False

    def elsewhere(self, distribution: str, version: str) -> bool:
        """Return whether files of this version may come from elsewhere than `index`, whose page does not list those."""
        return bool(self.extra) or self.offers(distribution, version)


def local_folder(place: str) -> Path | None:
    """Return the folder of a find-links entry, None for a page."""
    parts = urlsplit(place)
    if parts.scheme in ("http", "https"):
        return None
    return Path(parts.path if parts.scheme == "file" else place)


def _first(env: Mapping[str, str], *names: str) -> str | None:
    return next((env[name] for name in names if env.get(name)), None)


def _words(text: str | None) -> tuple[str, ...]:
    return tuple((text or "").replace(",", " ").split())
