"""The issues of a repository on GitHub, by its REST API (https://docs.github.com/en/rest/issues)."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests

from matrix import __version__
from matrix.core.errors import Indeterminate, UsageError
from matrix.core.text import plain, redact
from matrix.outputs.ci.issues import LABEL, Issue, State

_SECONDS = 30
_PAGE = 100
# An upper bound, so that no answer makes this loop for ever.
_MOST_PAGES = 100
# GitHub asks for a second between requests that write.
_PAUSE = 1.0

_CONTINUE = "finished steps stay, and the same command continues"
_ADVICE = {
    401: ", the token is not valid (GITHUB_TOKEN)",
    403: ", the token lacks the permission `issues: write`",
    404: ", no such repository, or the token has no access to it (--repo)",
    410: ", this repository has no issues; turn them on in its settings",
    **dict.fromkeys((301, 302, 307, 308), ", the repository has moved; use its new name (--repo)"),
}

_T = TypeVar("_T")

_REPOSITORY = re.compile(r"[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}")


class Tracker:
    """Reads and writes issues with the label `compatibility`. Every call raises Indeterminate if GitHub does not answer
    or asks to wait, and UsageError if it refuses."""

    def __init__(self, api: str, repository: str, token: str, pause: Callable[[float], None] = time.sleep) -> None:
        parts = urlsplit(api)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query:
            raise UsageError(f"--api {redact(api)}: not the address of an API; use one such as https://api.github.com")
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise UsageError(f"--api {api}: the token would be sent in the clear; use https")
        if not _REPOSITORY.fullmatch(repository) or repository.endswith(("/.", "/..")):
            raise UsageError(f"--repo {plain(repository)}: not a repository; write OWNER/NAME")
        self._root = f"{api.rstrip('/')}/repos/{repository}"
        self._repository = repository
        self._pause = pause
        self._labelled = False
        self._session = requests.Session()
        # Only the token that was given, nothing from ~/.netrc. Proxies and certificates still apply.
        self._session.auth = _Bearer(token)
        self._session.headers.update(
            {
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
                "User-Agent": f"torch-tf-matrix/{__version__}",
            }
        )

    def issues(self) -> list[Issue]:
        """Return all issues with the label, open and closed, without pull requests."""
        return [
            Issue(item["number"], item["state"], item["title"] or "", (item["body"] or "").replace("\r\n", "\n"))
            for page in self._pages(f"/issues?labels={LABEL}&state=all&per_page={_PAGE}&sort=created&direction=asc")
            for item in page
            if "pull_request" not in item
        ]

    def create(self, title: str, body: str) -> int:
        """Open an issue and return its number."""
        self._ensure_label()
        made = self._write("POST", "/issues", {"title": title, "body": body, "labels": [LABEL]})
        return int(made["number"])

    def comment(self, number: int, text: str) -> None:
        self._write("POST", f"/issues/{number}/comments", {"body": text})

    def change(self, number: int, title: str | None, body: str | None, state: State | None) -> None:
        """Change the fields of an issue that are not None."""
        values = {"title": title, "body": body, "state": state}
        self._write("PATCH", f"/issues/{number}", {name: value for name, value in values.items() if value is not None})

    def _ensure_label(self) -> None:
        if self._labelled:
            return
        if self._answer("GET", f"{self._root}/labels/{LABEL}", absent=True).status_code == 404:
            about = {"color": "b60205", "description": "A cell that matched does not any more"}
            self._write("POST", "/labels", {"name": LABEL, **about})
        self._labelled = True

    def _pages(self, path: str) -> Iterator[list[dict[str, Any]]]:
        address: str | None = self._root + path
        for _ in range(_MOST_PAGES):
            if address is None:
                return
            response = self._answer("GET", address)
            yield self._read(response, list, "a list of issues")
            address = response.links.get("next", {}).get("url")
            if address is not None and urlsplit(address)[:2] != urlsplit(self._root)[:2]:
                # The token must not be sent to another host.
                raise UsageError(f"{self._host} continues its list on another host; check --api")
        raise UsageError(f"{self._repository} has more than {_MOST_PAGES * _PAGE} issues labelled {LABEL}; remove some")

    def _write(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = self._answer(method, self._root + path, body)
        self._pause(_PAUSE)
        return self._read(response, dict, "the issue")

    def _answer(
        self, method: str, address: str, body: dict[str, Any] | None = None, absent: bool = False
    ) -> requests.Response:
        """Send a request. `absent`: 404 is an answer too, not an error."""
        try:
            # A redirection means that the repository moved; following it would turn the request into one that reads.
            response = self._session.request(method, address, json=body, timeout=_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            raise Indeterminate(f"{self._host} does not answer ({type(error).__name__}); {_CONTINUE}") from error
        status = response.status_code
        if status < 300 or (absent and status == 404):
            return response
        if status >= 500 or status == 429 or (status == 403 and _is_rate_limit(response)):
            raise Indeterminate(f"{self._host} answered {status}{_until(response)}; {_CONTINUE}")
        raise UsageError(f"{self._host} refused {method} {urlsplit(address).path}: {status}{_ADVICE.get(status, '')}")

    def _read(self, response: requests.Response, kind: type[_T], words: str) -> _T:
        try:
            found = response.json()
        except ValueError:
            found = None
        if not isinstance(found, kind):
            raise Indeterminate(f"{self._host} answered with something other than {words}; {_CONTINUE}")
        return found

    @property
    def _host(self) -> str:
        return urlsplit(self._root).hostname or ""


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _is_rate_limit(response: requests.Response) -> bool:
    """https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"""
    if response.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in response.headers:
        return True
    return "rate limit" in response.text[:2000].lower()


def _until(response: requests.Response) -> str:
    after, reset = response.headers.get("retry-after", ""), response.headers.get("x-ratelimit-reset", "")
    if after.isdecimal():
        return f" and asks to wait {int(after)} s"
    if reset.isdecimal() and response.status_code < 500:
        return f": no more requests until {dt.datetime.fromtimestamp(min(int(reset), 2**32), dt.UTC):%H:%M} UTC"
    return ""
