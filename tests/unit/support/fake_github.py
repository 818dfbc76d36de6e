"""The part of GitHub's API that keeps issues, on loopback."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "a-token"
REPOSITORY = "someone/something"


@dataclass
class GitHub:
    """What it holds, what it was asked, and the answers it gives instead of its own: (status, headers, body)."""

    issues: list[dict[str, Any]] = field(default_factory=list)
    comments: list[tuple[int, str]] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    instead: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    next_link: str | None = None
    url: str = ""

    @property
    def written(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.asked if method != "GET"]

    def issue(self, number: int) -> dict[str, Any]:
        return next(issue for issue in self.issues if issue["number"] == number)

    def add(self, title: str, body: str, labels: list[str], state: str = "open", **more: Any) -> dict[str, Any]:
        made = {"number": len(self.issues) + 1, "title": title, "body": body, "state": state, **more}
        self.issues.append({**made, "labels": [{"name": name} for name in labels]})
        return made


@contextmanager
def served() -> Iterator[GitHub]:
    """A server of its own, until the end of the block."""
    hub = GitHub()

    class Handler(_Handler):
        github = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    github: GitHub

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def log_message(self, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        hub = self.github
        address = urlsplit(self.path)
        path = address.path.removeprefix(f"/repos/{REPOSITORY}")
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        hub.asked.append((self.command, path))
        if hub.instead:
            status, headers, text = hub.instead.pop(0)
            self._say(status, text, headers)
        elif path == address.path:
            self._say(404, b"{}")
        elif self.command != "GET" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._say(401, b'{"message": "Bad credentials"}')
        else:
            self._answer(path, {key: values[0] for key, values in parse_qs(address.query).items()}, body)

    def _answer(self, path: str, query: dict[str, str], body: dict[str, Any]) -> None:
        hub = self.github
        match self.command, path.strip("/").split("/"):
            case "GET", ["issues"]:
                self._list(query)
            case "POST", ["issues"]:
                assert len(body["body"]) <= 65_536
                self._json(201, hub.add(body["title"], body["body"], body["labels"]))
            case "PATCH", ["issues", number]:
                assert body.keys() <= {"title", "body", "state"}
                hub.issue(int(number)).update(body)
                self._json(200, hub.issue(int(number)))
            case "POST", ["issues", number, "comments"]:
                hub.comments.append((int(number), body["body"]))
                self._json(201, {"id": len(hub.comments)})
            case "GET", ["labels", name]:
                self._json(200 if name in hub.labels else 404, {"name": name})
            case "POST", ["labels"]:
                assert re.fullmatch("[0-9a-f]{6}", body["color"])
                hub.labels.add(body["name"])
                self._json(201, body)
            case _:
                self._say(404, b"{}")

    def _list(self, query: dict[str, str]) -> None:
        size, page = int(query["per_page"]), int(query.get("page", "1"))
        found = [
            issue
            for issue in self.github.issues
            if query["labels"] in {label["name"] for label in issue["labels"]}
            and query.get("state", "open") in ("all", issue["state"])
        ]
        headers = {}
        if page * size < len(found):
            rest = "&".join(f"{key}={value}" for key, value in {**query, "page": str(page + 1)}.items())
            link = self.github.next_link or f"{self.github.url}/repos/{REPOSITORY}/issues?{rest}"
            headers["Link"] = f'<{link}>; rel="next"'
        self._json(200, found[(page - 1) * size : page * size], headers)

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._say(status, json.dumps(value).encode(), headers)

    def _say(self, status: int, text: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
