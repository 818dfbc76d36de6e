"""Open a site in Chromium as a reader does, from a folder or over http, and record all that should not happen."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

Scheme = Literal["file", "http"]
Theme = Literal["light", "dark"]

PHONE, TABLET, DESK = (380, 800), (800, 1000), (1600, 1000)

# Pages that exist once; that of a cell needs a cell.
SINGLE = (
    *("index.html", "changes.html", "trends.html", "pick.html", "operators.html"),
    *("rows/index.html", "reasons/index.html"),
)

_SETTLED = """() => {
  const root = document.documentElement;
  const loading = (one) => one.textContent.startsWith("Loading") && one.checkVisibility();
  return (root.dataset.ready === "true" || !document.querySelector("#heat, #cell"))
    && ![...document.querySelectorAll("main p, main [role=status]")].some(loading);
}"""
# In one round trip, because there are hundreds of pages.
_SEEN = f"""async () => {{
  const settled = {_SETTLED};
  while (!settled()) await new Promise((resolve) => setTimeout(resolve, 10));
  return [document.title, ...[...document.querySelectorAll("h1")].map((one) => one.textContent)];
}}"""
_WIDE = """() => {
  const over = document.scrollingElement.scrollWidth - innerWidth;
  if (over <= 0) return "";
  const right = (one) => one.getBoundingClientRect().right;
  const wide = [...document.body.querySelectorAll("*")].filter((one) => right(one) > innerWidth + 1);
  const name = (one) => `${one.tagName.toLowerCase()}#${one.id}.${one.className}`;
  return `${over} px too wide: ${wide.slice(0, 5).map(name).join(", ")}`;
}"""


@dataclass
class Visit:
    """A page and what went wrong on it: console errors (including those of the Content-Security-Policy), uncaught
    exceptions, dialogs, and requests that failed or left the site."""

    page: Page
    address: str
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self._note(f"exception: {error}"))
        self.page.on("request", self._request)
        self.page.on("requestfailed", lambda request: self._note(f"failed: {request.url}: {request.failure}"))
        self.page.on("dialog", self._dialog)

    def open(self, path: str) -> Page:
        """Go to a page of the site, `path` with its hash, and wait until all its requests have finished."""
        # Changing only the hash is not a navigation.
        if self.page.url.partition("#")[0] == f"{self.address}/{path}".partition("#")[0]:
            self.page.goto("about:blank")
        self.page.goto(f"{self.address}/{path}")
        return self.settle()

    def look(self, path: str) -> tuple[str, list[str]]:
        """Return the title and the h1 headings of a page whose requests have finished."""
        if path.startswith("cell.html"):
            self.open(path)
        else:
            self.page.goto(f"{self.address}/{path}")
        title, *headings = self.page.evaluate(_SEEN)
        return title, headings

    def settle(self) -> Page:
        self.page.wait_for_function(_SETTLED)
        return self.page

    @property
    def overflow(self) -> str:
        """Return the elements that are wider than the window; '' if there are none."""
        return str(self.page.evaluate(_WIDE))

    def accessible(self) -> list[str]:
        """Return serious and critical findings of axe, one per line."""
        self.page.evaluate(AXE_SCRIPT)
        found: dict[str, Any] = self.page.evaluate(
            "axe.run(document, {resultTypes: ['violations'], preload: false, iframes: false})"
        )
        return [
            f"{item['impact']} {item['id']} ({len(item['nodes'])}): {item['nodes'][0]['html'][:200]} "
            f"{item['nodes'][0]['failureSummary'][:300]!r}"
            for item in found["violations"]
            if item["impact"] in ("serious", "critical")
        ]

    def _note(self, text: str) -> None:
        self.problems.append(f"{self.page.url}: {text}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._note(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.address}/", "data:", "about:")):
            self._note(f"left the site: {request.url}")

    def _dialog(self, dialog: Any) -> None:
        self._note(f"dialog: {dialog.message}")
        dialog.dismiss()


@contextlib.contextmanager
def served(site: Path, scheme: Scheme) -> Iterator[str]:
    """Yield the address of a site without a trailing slash."""
    if scheme == "file":
        yield site.resolve().as_uri()
        return
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextlib.contextmanager
def visiting(
    browser: Browser, address: str, size: tuple[int, int] = DESK, theme: Theme = "light", **options: Any
) -> Iterator[Visit]:
    """A visitor without stored state."""
    viewport: Any = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, color_scheme=theme, reduced_motion="reduce", **options)
    context.set_default_timeout(20_000)
    try:
        yield Visit(context.new_page(), address)
    finally:
        context.close()


def pages(site: Path) -> list[str]:
    """Return every page of a site except that of a cell, which needs a cell."""
    found = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    return [path for path in found if path != "cell.html"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass
