"""Serve the site over HTTP, to this machine only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from matrix.core.errors import UsageError

LOOPBACK = "127.0.0.1"


class _Handler(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        # A new build reuses the addresses.
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def guess_type(self, path: Any) -> str:
        # The types that machines know differ.
        known = {".js": "text/javascript", ".xml": "application/atom+xml", ".svg": "image/svg+xml"}
        return known.get(Path(path).suffix, super().guess_type(path))

    def log_message(self, format: str, *args: Any) -> None:
        pass


def open_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """Open a server; port 0 means any free port. Raises UsageError if the port is taken."""
    try:
        return ThreadingHTTPServer((LOOPBACK, port), partial(_Handler, directory=str(folder)))
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror}; name another port, or omit --port") from error


def serve(folder: Path, port: int, tell: Callable[[str], None]) -> None:
    """Serve until Ctrl-C."""
    with open_server(folder, port) as server:
        tell(f"http://{LOOPBACK}:{server.server_port}/  (Ctrl-C to stop)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            tell("")
