"""Run uv as a subprocess, always the same binary in a clean environment."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from matrix.core import processes
from matrix.core.text import redact
from matrix.packages.index import IndexSettings

# The user's uv settings that are kept: the cache, and how to reach the network. All others (exclude-newer, constraints,
# a resolution mode) would change locks without a trace.
_KEPT = {
    "UV_CACHE_DIR",
    "UV_LINK_MODE",
    "UV_HTTP_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_PYTHON_INSTALL_DIR",
    "UV_OFFLINE",
    "UV_CONCURRENT_DOWNLOADS",
}

_NAMED = re.compile(r"([\w.-]+)=(.*)")

# Files of a release never change.
_A_YEAR = 31_536_000


@dataclass(frozen=True)
class UvResult:
    """The result of a uv call. `out` is its standard output; `text` is standard output and error, redacted."""

    ok: bool
    out: str
    text: str


@cache
def binary() -> str:
    """Return the path of the uv installed with this package. Raises FileNotFoundError."""
    from uv import find_uv_bin

    return os.fsdecode(find_uv_bin())


def cache_folder(settings: IndexSettings) -> Path:
    """Return the folder of uv's cache. Raises OSError."""
    return Path(call(["cache", "dir"], settings).out.strip() or os.devnull)


def variables(settings: IndexSettings) -> dict[str, str]:
    """Return the environment variables of a uv call: the user's, without those that would affect a resolution."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UV_", "PIP_", "VIRTUAL_ENV", "PYTHON")) or name in _KEPT
    }
    return {**env, **settings.variables(), "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}


def call(
    arguments: Sequence[str], settings: IndexSettings, stdin: str | None = None, fresh: int | None = None
) -> UvResult:
    """Run uv and wait. Index pages younger than `fresh` seconds are taken from uv's cache. Raises OSError."""
    with _configured(settings, fresh) as (options, env):
        done = subprocess.run(
            [binary(), *options, *arguments],
            env=env,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    return UvResult(done.returncode == 0, done.stdout, redact(done.stdout + done.stderr))


@contextlib.contextmanager
def _configured(settings: IndexSettings, fresh: int | None) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield options and environment variables of a call. `fresh` needs a configuration file, and only applies to the
    indexes that the file itself names."""
    env = variables(settings)
    if fresh is None:
        yield ["--no-config"], env
        return
    env = {name: value for name, value in env.items() if name not in ("UV_DEFAULT_INDEX", "UV_INDEX")}
    # JSON strings are TOML strings.
    lines = []
    for text in (*settings.extra, settings.index):
        # uv accepts NAME=URL for an index, and looks up credentials by the name.
        name, url = found.groups() if (found := _NAMED.fullmatch(text)) else (None, text)
        lines.append("[[index]]\n" + (f"name = {json.dumps(name)}\n" if name else ""))
        lines.append(f"url = {json.dumps(url)}\ndefault = {'true' if text is settings.index else 'false'}\n")
        lines.append(f'cache-control = {{ api = "max-age={fresh}", files = "max-age={_A_YEAR}" }}\n')
    # Readable by its owner only: a URL may hold credentials.
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write("".join(lines))
        file.flush()
        yield ["--config-file", file.name], env


async def call_async(arguments: Sequence[str], settings: IndexSettings, cwd: Path | None = None) -> UvResult:
    """Run uv without blocking; cancelling kills it. Raises OSError."""
    status, out, err = await processes.run(binary(), "--no-config", *arguments, env=variables(settings), cwd=cwd)
    text = out.decode(errors="replace")
    said = text + err.decode(errors="replace")
    return UvResult(status == 0, text, redact(said) or f"uv ended with status {status}")


@cache
def version() -> str:
    """Return `uv X.Y.Z`. Raises CalledProcessError."""
    done = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split()[:2])
