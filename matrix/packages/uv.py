"""uv as a subprocess: the same binary and the same clean surroundings for every call."""

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

from matrix.core import processes as children
from matrix.core.text import redact
from matrix.packages.index import IndexSettings

# Kept of the user's uv settings: where its cache lies and how it reaches the network. Everything else (an
# exclude-newer, constraints, a resolution mode) would change what a lock says without a trace.
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

# A file of a release is what its hash says, for ever.
_A_YEAR = 31_536_000


@dataclass(frozen=True)
class UvResult:
    """How a uv call ended; `text` is its standard output and error, redacted, or how it was ended without any."""

    ok: bool
    out: str
    text: str


@cache
def binary() -> str:
    """The uv installed with this package."""
    from uv import find_uv_bin

    return os.fsdecode(find_uv_bin())


def variables(settings: IndexSettings) -> dict[str, str]:
    """The environment of a uv call: the user's, without what would steer a resolution unseen."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UV_", "PIP_", "VIRTUAL_ENV", "PYTHON")) or name in _KEPT
    }
    return {**env, **settings.variables(), "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}


def call(
    arguments: Sequence[str], settings: IndexSettings, stdin: str | None = None, fresh: int | None = None
) -> UvResult:
    """Run uv and wait. Pages of the index younger than `fresh` seconds are taken from uv's cache unasked."""
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
    """Options and variables of a call. How long a page stays fresh can be said in a configuration file only, and of
    the indexes that the file itself names."""
    env = variables(settings)
    if fresh is None:
        yield ["--no-config"], env
        return
    env = {name: value for name, value in env.items() if name not in ("UV_DEFAULT_INDEX", "UV_INDEX")}
    # JSON strings are TOML strings.
    lines = []
    for text in (*settings.extra, settings.index):
        # uv lets an index be given as NAME=URL, and looks for credentials under the name.
        name, url = found.groups() if (found := _NAMED.fullmatch(text)) else (None, text)
        lines.append("[[index]]\n" + (f"name = {json.dumps(name)}\n" if name else ""))
        lines.append(f"url = {json.dumps(url)}\ndefault = {'true' if text is settings.index else 'false'}\n")
        lines.append(f'cache-control = {{ api = "max-age={fresh}", files = "max-age={_A_YEAR}" }}\n')
    # Readable by its owner alone: an address may hold credentials.
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write("".join(lines))
        file.flush()
        yield ["--config-file", file.name], env


async def call_async(arguments: Sequence[str], settings: IndexSettings, cwd: Path | None = None) -> UvResult:
    """Run uv without blocking; a cancelled call is killed, not left behind."""
    status, out, err = await children.run(binary(), "--no-config", *arguments, env=variables(settings), cwd=cwd)
    text = out.decode(errors="replace")
    said = text + err.decode(errors="replace")
    return UvResult(status == 0, text, redact(said) or f"uv ended with status {status}")


@cache
def version() -> str:
    """`uv X.Y.Z`."""
    done = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split()[:2])
