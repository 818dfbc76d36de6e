"""Measure build time, size and speed of the dashboard for a history of 50,000 cells and 60 runs.

    python benchmarks/dashboard_50k.py FOLDER [--cells N] [--runs N]

The history is synthetic (tests/synthetic_history.py) and made once; later calls reuse it from FOLDER. Measured are

- building the site, twice, because the first build may have to read the database from disk;
- the Matrix page in Chromium, over http from a compressing server and over file://: seconds from the start of the
  navigation until the grid is painted and until the version filter responds to input, bytes transferred, and the number
  of elements.

Exits with 1 if building takes more than 60 s, or the page more than 2 s to respond or 1.5 MB compressed.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import http.server
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

BUILD_SECONDS = 60
ANSWER_SECONDS = 2
WEIGHT_MB = 1.5

# Record when the grid is visible and when the filter has updated the count, in milliseconds since the start of the
# navigation. Runs before the page's own scripts.
_STAMPS = """
window.stamps = {};
const ready = () => document.documentElement.dataset.ready === "true";
const shown = () => ready() && document.querySelector("#heat .sq, #heat .card");
const wait = setInterval(() => {
  if (!shown()) return;
  clearInterval(wait);
  requestAnimationFrame(() => requestAnimationFrame(() => {
    window.stamps.painted = performance.now();
    const filter = document.getElementById("filter");
    const count = document.getElementById("count");
    new MutationObserver(() => requestAnimationFrame(() => { window.stamps.answered ??= performance.now(); }))
      .observe(count, { childList: true, characterData: true, subtree: true });
    filter.value = "onnx-tf==1.10.*";
    filter.dispatchEvent(new Event("input", { bubbles: true }));
  }));
}, 4);
"""


@dataclass
class Server:
    """Serves a site over http, compressed; `sent` counts bytes of response bodies."""

    site: Path
    sent: dict[str, int] = field(default_factory=dict)
    _packed: dict[Path, bytes] = field(default_factory=dict)

    def body(self, path: Path) -> bytes:
        if path not in self._packed:
            self._packed[path] = gzip.compress(path.read_bytes(), 6)
        return self._packed[path]

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        handler = partial(_Handler, self, directory=str(self.site))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, owner: Server, *arguments: Any, **options: Any) -> None:
        self._owner = owner
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        body = self._owner.body(path)
        self._owner.sent[self.path.partition("?")[0]] = len(body)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@dataclass(frozen=True)
class Opened:
    """One visit: seconds since the start of the navigation, and the number of elements."""

    painted: float
    answered: float
    elements: int


def make_history(folder: Path, cells: int, runs: int) -> Path:
    state = folder / f"state-{cells}x{runs}"
    if (state / "complete").exists():
        return state
    shutil.rmtree(state, ignore_errors=True)
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from synthetic_history import write_history

    started = time.monotonic()
    write_history(state, cells, runs)
    (state / "complete").touch()
    megabytes = (state / "matrix.db").stat().st_size / 1e6
    print(f"history made in {time.monotonic() - started:.0f} s, {megabytes:.0f} MB")
    return state


def build(state: Path, site: Path) -> tuple[float, float]:
    """Build the site; return wall-clock and processor seconds, which differ on a busy machine."""
    command = [sys.executable, "-m", "matrix", "dashboard", "--out", str(site), "--state", str(state)]
    started, before = time.monotonic(), _work()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started, _work() - before


def _work() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def visit(browser: Any, address: str) -> Opened:
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    page = context.new_page()
    page.add_init_script(_STAMPS)
    page.goto(address)
    page.wait_for_function("() => window.stamps.answered", timeout=60_000)
    stamps = page.evaluate("window.stamps")
    page.reload()  # count all elements: the filter hid rows
    page.wait_for_function("() => window.stamps.painted", timeout=60_000)
    elements = page.evaluate("document.getElementsByTagName('*').length")
    context.close()
    return Opened(stamps["painted"] / 1000, stamps["answered"] / 1000, elements)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder for the history and the site")
    parser.add_argument("--cells", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--keep-site", action="store_true", help="measure the page of the existing site")
    chosen = parser.parse_args()
    state = make_history(chosen.folder, chosen.cells, chosen.runs)
    site = chosen.folder / f"site-{chosen.cells}x{chosen.runs}"
    lines: list[tuple[str, str, bool]] = []

    if not chosen.keep_site:
        for name in ("first", "second"):
            seconds, work = build(state, site)
            said = f"{seconds:.1f} s, {work:.1f} s of processor time"
            lines.append((f"build, {name} time", said, seconds <= BUILD_SECONDS))
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
        lines.append(("build, memory", f"{memory:.0f} MB", True))
    files = [path for path in site.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    lines.append(("site", f"{len(files):,} files, {size:.0f} MB", True))

    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        server = Server(site)
        with server.running() as address:
            over_http = [visit(browser, f"{address}/index.html") for _ in range(3)]
        over_file = [visit(browser, f"{site.resolve().as_uri()}/index.html") for _ in range(3)]
        browser.close()
    weight = sum(server.sent.values()) / 1e6
    lines.append(("Matrix page, compressed", f"{weight:.2f} MB in {len(server.sent)} files", weight <= WEIGHT_MB))
    for path, sent in sorted(server.sent.items(), key=lambda item: -item[1])[:6]:
        lines.append((f"  {path}", f"{sent / 1000:.0f} kB", True))
    for name, visits in (("http", over_http), ("file", over_file)):
        painted = statistics.median(opened.painted for opened in visits)
        answered = statistics.median(opened.answered for opened in visits)
        lines.append((f"grid painted, {name}", f"{painted:.2f} s", True))
        lines.append((f"filter responded, {name}", f"{answered:.2f} s", answered <= ANSWER_SECONDS))
    lines.append(("elements of the page", f"{over_http[0].elements:,}", True))

    width = max(len(name) for name, _, _ in lines)
    for name, value, good in lines:
        print(f"{name:{width}}  {value}{'' if good else '   OVER THE LIMIT'}")
    return 0 if all(good for _, _, good in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
