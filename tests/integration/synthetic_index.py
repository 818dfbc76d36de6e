"""A package index of synthetic releases on the loopback interface: PEP 503 and 691 pages with upload times (PEP 700),
metadata beside the files (PEP 658), yanked releases (PEP 592), and wheels of one module each."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import html
import http.server
import io
import json
import threading
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from packaging.utils import canonicalize_name

JSON = "application/vnd.pypi.simple.v1+json"
_BEGINNING = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Release:
    """One version of a package, uploaded at noon of `day` (UTC) as a wheel that holds the module `code`."""

    name: str
    version: str
    day: dt.date
    requires: tuple[str, ...] = ()
    code: str = ""
    requires_python: str = ">=3.8"
    yanked: str | None = None

    @property
    def filename(self) -> str:
        return f"{self._module}-{self.version}-py3-none-any.whl"

    @property
    def uploaded(self) -> str:
        return f"{self.day.isoformat()}T12:00:00.000000Z"

    @cached_property
    def metadata(self) -> bytes:
        lines = [
            "Metadata-Version: 2.1",
            f"Name: {self.name}",
            f"Version: {self.version}",
            f"Requires-Python: {self.requires_python}",
            *(f"Requires-Dist: {requirement}" for requirement in self.requires),
        ]
        return ("\n".join(lines) + "\n").encode()

    @cached_property
    def wheel(self) -> bytes:
        """Return the wheel, always with the same bytes, because locks hold its hash."""
        info = f"{self._module}-{self.version}.dist-info"
        files = {
            f"{self._module}.py": f"VERSION = {self.version!r}\n{self.code}".encode(),
            f"{info}/METADATA": self.metadata,
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = [f"{path},sha256={_unpadded(content)},{len(content)}" for path, content in files.items()]
        files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path, content in files.items():
                archive.writestr(zipfile.ZipInfo(path, _BEGINNING), content)
        return packed.getvalue()

    @property
    def _module(self) -> str:
        return canonicalize_name(self.name).replace("-", "_")


class World:
    """All releases of an index. `dated` False: without upload times; `json` False: HTML only, which has no field for
    them. Changes made while it is served appear in the next answer."""

    def __init__(self, dated: bool = True, json: bool = True) -> None:
        self.dated = dated
        self.json = json
        self._releases: dict[str, dict[str, Release]] = {}
        # Unique to this world, so that caches never mix up worlds that reuse a port.
        self._place = uuid.uuid4().hex
        # Cached: a search reads a page of a thousand releases a thousand times, and making it is slow.
        self._pages: dict[tuple[str, str], bytes] = {}

    def release(
        self,
        name: str,
        version: str,
        day: dt.date,
        requires: Sequence[str] = (),
        code: str = "",
        requires_python: str = ">=3.8",
    ) -> None:
        release = Release(name, version, day, tuple(requires), code, requires_python)
        self._releases.setdefault(canonicalize_name(name), {})[version] = release
        self._pages.clear()

    def yank(self, name: str, version: str, reason: str = "") -> None:
        """Yank a release for resolutions of any day: as on a real index, pages have no history."""
        versions = self._releases[canonicalize_name(name)]
        versions[version] = replace(versions[version], yanked=reason)
        self._pages.clear()

    def versions(self, name: str) -> tuple[Release, ...]:
        """Raises KeyError for a package that was never released."""
        return tuple(self._releases[name].values())

    @contextlib.contextmanager
    def served(self) -> Iterator[str]:
        """The address of its index."""
        with _Server(("127.0.0.1", 0), _Handler) as server:
            server.world = self
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}/{self._place}/simple"
            finally:
                server.shutdown()
                thread.join()

    def answer(self, path: Sequence[str], accepted: str) -> tuple[str, bytes]:
        """Return content type and bytes at a path. Raises KeyError if there is nothing."""
        match path:
            case [self._place, "simple", name]:
                return self.page(name, accepted)
            case [self._place, "files", filename]:
                return "application/octet-stream", self.file(filename)
        raise KeyError(path)

    def page(self, name: str, accepted: str) -> tuple[str, bytes]:
        """Content type and bytes of a package's page. Raises KeyError for a package that was never released."""
        kind, write = (JSON, self._json_page) if self.json and JSON in accepted else ("text/html", self._html_page)
        if (name, kind) not in self._pages:
            self._pages[name, kind] = write(name)
        return kind, self._pages[name, kind]

    def file(self, filename: str) -> bytes:
        """Return a wheel or its metadata. Raises KeyError if there is none."""
        wheel = filename.removesuffix(".metadata")
        name, version = wheel.split("-")[:2]
        release = self._releases[canonicalize_name(name)][version]
        if release.filename != wheel:
            raise KeyError(filename)
        return release.metadata if filename != wheel else release.wheel

    def _json_page(self, name: str) -> bytes:
        files = [self._described(release) for release in self.versions(name)]
        versions = [release.version for release in self.versions(name)]
        page = {"meta": {"api-version": "1.1"}, "name": name, "versions": versions, "files": files}
        return json.dumps(page).encode()

    def _html_page(self, name: str) -> bytes:
        links = []
        for release in self.versions(name):
            attributes = {
                "href": f"/{self._place}/files/{release.filename}#sha256={_hex(release.wheel)}",
                "data-requires-python": release.requires_python,
                "data-core-metadata": f"sha256={_hex(release.metadata)}",
                **({} if release.yanked is None else {"data-yanked": release.yanked}),
            }
            shown = " ".join(f'{key}="{html.escape(value)}"' for key, value in attributes.items())
            links.append(f"<a {shown}>{release.filename}</a><br>")
        return "\n".join(["<!DOCTYPE html><html><body>", *links, "</body></html>"]).encode()

    def _described(self, release: Release) -> dict[str, Any]:
        return {
            "filename": release.filename,
            "url": f"/{self._place}/files/{release.filename}",
            "hashes": {"sha256": _hex(release.wheel)},
            "size": len(release.wheel),
            "requires-python": release.requires_python,
            "core-metadata": {"sha256": _hex(release.metadata)},
            # In the standard, a reason takes the place of true.
            "yanked": False if release.yanked is None else release.yanked or True,
            **({"upload-time": release.uploaded} if self.dated else {}),
        }


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    world: World


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes; without TCP_NODELAY the second waits for the first's acknowledgement.
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        try:
            path = self.path.strip("/").split("/")
            kind, body = self.server.world.answer(path, self.headers.get("Accept", ""))
        except (KeyError, ValueError):
            self._send(404, "text/plain", b"")
            return
        tag = f'"{_hex(body)[:32]}"'
        # Clients must revalidate each time, so that they see a release yanked a moment ago.
        cached = self.headers.get("If-None-Match") == tag
        self._send(304 if cached else 200, kind, b"" if cached else body, {"ETag": tag, "Cache-Control": "no-cache"})

    def _send(self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _unpadded(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
