"""`doctor`: what this machine can and cannot run, and why."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import Any

import click

from matrix.cli.options import make_session, table_options

_CPUINFO = Path("/proc/cpuinfo")


@click.command()
@table_options
def doctor(**options: Any) -> None:
    """Say what this machine can and cannot run, and why."""
    import psutil

    from matrix import interpreters, uv
    from matrix.errors import Indeterminate
    from matrix.index import UploadDates
    from matrix.locks.keep import stale
    from matrix.locks.request import all_requests
    from matrix.redact import redact

    session = make_session(**options)
    config = session.config
    system = f"{platform.system()} {platform.machine()}"
    fits = system == "Linux x86_64"
    _line(fits, f"system {system}", "" if fits else "locks are for Linux x86-64; use the docker engine elsewhere")
    if _CPUINFO.is_file():
        avx = "avx" in _CPUINFO.read_text(encoding="utf-8", errors="replace").split()
        _line(avx, "AVX", "" if avx else "TensorFlow's wheels from 1.6 on are built for it and do not start here")
    memory, limit = psutil.virtual_memory().total // 2**20, config.limits.memory_mb
    _line(memory >= limit, f"{memory} MB of memory", f"the table lets one job use {limit}")
    try:
        _line(True, f"{uv.version()} at {redact(uv.binary())}", "")
        has_uv = True
    except FileNotFoundError:
        _line(False, "uv", "it makes locks and environments, and finds Pythons; get it: pip install uv")
        has_uv = False
    _line(has_uv, "engine venv", "virtual environments made by uv; it separates packages, it is no cage")

    requests = all_requests(config)
    needed: dict[str, list[str]] = {}
    for request in requests:
        lock = session.locks.get(request.name)
        python = lock.python if lock else request.python
        if python:
            needed.setdefault(python, []).append(request.name)
    for python in sorted(needed if has_uv else (), key=lambda text: tuple(map(int, text.split(".")))):
        found = interpreters.find(python)
        if found:
            _line(True, f"Python {python}", f"{found.version} at {redact(str(found.path))}")
        else:
            rows = ", ".join(needed[python])
            _line(
                False, f"Python {python}", f"missing, so unavailable: {rows}; get it: {interpreters.how_to_get(python)}"
            )

    outdated = stale(requests, session.locks)
    names = ", ".join(request.name for request in outdated)
    _line(not outdated, f"{len(requests) - len(outdated)} of {len(requests)} locks are current", names)
    none = [name for name, lock in session.locks.items() if lock.outcome == "unsatisfiable"]
    if none:
        click.echo(f"       no solution exists (a finding): {', '.join(none)}")

    try:
        known = UploadDates(session.settings).of("onnx-tf")
        _line(bool(known), f"index {redact(session.settings.index)}", "answers" if known else "gives no upload dates")
    except Indeterminate as error:
        _line(False, f"index {redact(session.settings.index)}", str(error))
    build = session.build
    builds = sorted({name for row in config.exporters for name in row.builds})
    if builds:
        text = f"build {build!r}, found with --find-links" if build else "the index's own build, with its GPU packages"
        _line(True, "torch", text if build else f"{text}; point --find-links at CPU wheels to use {', '.join(builds)}")

    place = next(folder for folder in (session.state.root, *session.state.root.parents) if folder.exists())
    usage = shutil.disk_usage(place)
    free = usage.free / 2**30
    _line(
        free > 10, f"{free:.0f} GiB free below {redact(str(session.state.root))}", "" if free > 10 else "10 are wanted"
    )


def _line(good: bool, what: str, detail: str) -> None:
    click.echo(f"{'ok    ' if good else 'LACKS '} {what}" + (f": {detail}" if detail else ""))
