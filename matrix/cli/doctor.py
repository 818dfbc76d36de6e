"""`doctor`: what this machine can run."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import engine_options, table_options
from matrix.cli.steps import open_project
from matrix.core.errors import EngineUnavailable, Indeterminate

if TYPE_CHECKING:
    from matrix.app.project import Project
    from matrix.environments.docker.engine import DockerEngine

_CPUINFO = Path("/proc/cpuinfo")
_WANTED_GIB = 10


@click.command()
@table_options
@engine_options
def doctor(**options: Any) -> None:
    """Check what this machine can and cannot run, and why."""
    from matrix.environments.docker.base_names import order
    from matrix.environments.locks.keep import stale
    from matrix.environments.locks.request import all_requests

    project = open_project(**options)
    requests = all_requests(project.config)
    needed: dict[str, list[str]] = {}
    for request in requests:
        lock = project.locks.get(request.name)
        python = lock.python if lock else request.python
        if python:
            needed.setdefault(python, []).append(request.name)
    needed = {python: needed[python] for python in sorted(needed, key=order)}

    _machine(project)
    _venv(needed)
    _docker(project, needed)

    outdated = stale(requests, project.locks)
    names = ", ".join(request.name for request in outdated)
    _line(not outdated, f"{len(requests) - len(outdated)} of {len(requests)} locks are current", names)
    if none := [name for name, lock in project.locks.items() if lock.outcome == "unsatisfiable"]:
        click.echo(f"       no solution exists (a finding): {', '.join(none)}")
    _packages(project)


def _machine(project: Project) -> None:
    import psutil

    from matrix.core.text import redact

    system = f"{platform.system()} {platform.machine()}"
    native = "only Linux x86-64 is supported natively; here, use --engine docker"
    _line(system == "Linux x86_64", f"system {system}", problem=native)
    if _CPUINFO.is_file():
        avx = "avx" in _CPUINFO.read_text(encoding="utf-8", errors="replace").split()
        _line(avx, "AVX", problem="TensorFlow's wheels need it from 1.6 on and do not start here")
    memory, limit = psutil.virtual_memory().total // 2**20, project.config.limits.memory_mb
    _line(memory >= limit, f"{memory} MB of memory", f"the table allows {limit} for one job")
    place = next(folder for folder in (project.state.root, *project.state.root.parents) if folder.exists())
    _free(place, f"below {redact(str(project.state.root))}")


def _venv(needed: dict[str, list[str]]) -> None:
    from matrix.core.text import redact
    from matrix.packages import interpreters, uv

    try:
        _line(True, f"{uv.version()} at {redact(uv.binary())}")
    except FileNotFoundError:
        _line(False, "uv", "needed for locks, environments and finding Pythons; get it: pip install uv")
        _line(False, "engine venv", "needs uv")
        return
    _line(True, "engine venv", "virtual environments made by uv; packages are isolated, code is not sandboxed")
    for python, rows in needed.items():
        found = interpreters.find(python)
        if found:
            _line(True, f"Python {python}", f"{found.version} at {redact(str(found.path))}")
        else:
            how = interpreters.how_to_get(python)
            _line(False, f"Python {python}", f"missing, so unavailable with venv: {', '.join(rows)}; get it: {how}")


def _docker(project: Project, needed: dict[str, list[str]]) -> None:
    from matrix.environments.choose import docker_engine

    engine = docker_engine(project.state, project.settings, project.base, project.folders.committed)
    try:
        facts = engine.facts
    except EngineUnavailable as error:
        _line(False, "engine docker", str(error).removeprefix("engine docker: "))
        return
    rootless = ", without root" if facts.rootless else ""
    _line(True, "engine docker", f"{facts.name} at {facts.address}{rootless}, cgroup v{facts.cgroup}, {facts.driver}")
    get = "" if facts.podman else "; BuildKit needs the docker command with its buildx component on PATH"
    _line(
        engine.builder.name == "BuildKit",
        f"builder {engine.builder.name}",
        "has a package cache and builds shared layers once",
        f"without a package cache: slow{get}",
    )
    if facts.root is None:
        click.echo("       the engine's disk is not on this machine: disk space is not checked before a build")
    else:
        _free(facts.root, "for images")
    _bases(engine, needed)


def _bases(engine: DockerEngine, needed: dict[str, list[str]]) -> None:
    """Print the base images that are on the engine, without downloading any."""
    from matrix.environments.docker import base_pins as pins
    from matrix.environments.docker import bases

    for python, rows in needed.items():
        try:
            base = bases.choose(engine.client, python, engine.base_option, download=False)
        except bases.BaseMissing as error:
            wanted = bases.candidates(python, engine.base_option, pins.read())[0]
            if engine.base_option == "local":
                _line(False, f"base image {wanted}", f"{error}; unavailable with docker: {', '.join(rows)}")
            else:
                click.echo(f"       base image {wanted}: not present, will be downloaded; without a registry: "
                           f"python -m matrix bases {python}")  # fmt: skip
            continue
        _line(True, f"base image {base.reference}", f"Python {base.python}, {base.size // 10**6} MB, {base.origin}")


def _packages(project: Project) -> None:
    from matrix.core.text import redact
    from matrix.families import KNOWN
    from matrix.packages.index import UploadDates

    try:
        known = UploadDates(project.settings).of(next(iter(KNOWN.values())).package)
        _line(bool(known), f"index {redact(project.settings.index)}", "answers", "has no upload dates")
    except Indeterminate as error:
        _line(False, f"index {redact(project.settings.index)}", str(error))
    if builds := sorted({name for row in project.config.exporters for name in row.builds}):
        plain = f"the index's build, with its GPU packages; for {', '.join(builds)}, point --find-links at its wheels"
        _line(True, "torch", f"build {project.build!r}, found with --find-links" if project.build else plain)


def _free(place: Path, what: str) -> None:
    free = shutil.disk_usage(place).free / 2**30
    _line(free > _WANTED_GIB, f"{free:.0f} GiB free {what}", problem=f"{_WANTED_GIB} are recommended")


def _line(good: bool, what: str, detail: str = "", problem: str = "") -> None:
    """Print a line with the detail, or with the problem of what is not good, if there is one."""
    text = detail if good else problem or detail
    click.echo(f"{'ok    ' if good else 'LACKS '} {what}" + (f": {text}" if text else ""))
