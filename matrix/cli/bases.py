"""`bases`: the images that environments stand on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import docker


@click.command()
@click.argument("pythons", nargs=-1, metavar="[PYTHON]...")
@click.option(
    "--table",
    type=click.Path(path_type=Path),
    default=Path("matrix.yml"),
    show_default=True,
    help="The compatibility table; without PYTHON, what its locks need is meant.",
)  # fmt: skip
@click.option("--again", is_flag=True, help="Make them anew even if nothing changed, with Debian's updates.")
@click.option("--list", "listing", is_flag=True, help="Only show which bases are there, and which would be used.")
@click.option("--pin", is_flag=True, help="Ask the registry for digests instead, and write them to docker/bases.yml.")
@click.option(
    "--base",
    metavar="WHICH",
    default="auto",
    envvar="MATRIX_BASE",
    help="For --pin: a name with {python} in it; default: python:{python}-slim. For --list: as for `run`.",
)  # fmt: skip
@click.option(
    "--to",
    "target",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where --pin writes; default: docker/bases.yml, which every command reads.",
)  # fmt: skip
def bases(
    pythons: tuple[str, ...], table: Path, again: bool, listing: bool, pin: bool, base: str, target: Path | None
) -> None:
    """Make base images on this machine, where no registry can be reached.

    A base is python:X.Y-slim from a registry, or its like made here: a minimal Debian of this machine's own release,
    from its own mirrors (by mmdebstrap, which needs root or user namespaces), and in it a copy of this machine's
    Python X.Y, pyenv's or uv's. Its name is torch-tf-matrix/python:X.Y.
    """
    from matrix.core.errors import EngineUnavailable, Indeterminate, UsageError
    from matrix.core.text import redact
    from matrix.environments.docker import base_names as names
    from matrix.environments.docker import base_pins as pins
    from matrix.environments.docker import registry
    from matrix.environments.docker.bases import check_option
    from matrix.environments.docker.client import UNREACHABLE, connect, facts
    from tools.bases.make import make

    if pin + listing + again > 1:
        raise UsageError("--pin, --list and --again exclude each other")
    if target and not pin:
        raise UsageError("--to says where --pin writes")
    if wrong := check_option(base):
        raise UsageError(f"--base {base}: {wrong}")
    if unknown := [python for python in pythons if python not in names.SUPPORTED]:
        raise UsageError(f"{', '.join(unknown)}: choose of {', '.join(names.SUPPORTED)}")
    wanted = sorted(set(pythons or _needed(table)), key=names.order)
    client = connect()
    try:
        engine = facts(client)
        if listing:
            _list(client, wanted, base)
        elif pin:
            if base == "local":
                raise UsageError("--base local: only what a registry has can be pinned")
            if engine.podman:
                raise EngineUnavailable("Podman's socket cannot ask a registry for digests; pin with Docker")
            template = names.OFFICIAL if base in ("auto", "registry") else base
            target = target or pins.FILE
            # Asked for some Pythons: what is pinned for the others stays.
            kept = pins.read(target) if pythons else pins.BasePins()
            pins.write(kept.updated(registry.ask(client, template, wanted)), target)
            click.echo(f"{', '.join(wanted)}: digests of {template} written to {target}")
        elif problems := make(client, wanted, again, click.echo):
            raise Indeterminate("\n".join(problems.values()))
    except UNREACHABLE as error:
        raise Indeterminate(f"this could not be finished: {redact(str(error))}; call it again") from error


def _needed(table: Path) -> set[str]:
    """The Pythons of the table's locks."""
    from matrix.core.errors import UsageError
    from matrix.packages.lock import read_locks

    found = {lock.python for lock in read_locks(table.parent / "envs").values() if lock.outcome == "resolved"}
    if not found:
        raise UsageError(f"no lock lies beside {table}: name the Pythons, or call: python -m matrix lock")
    return found


def _list(client: docker.DockerClient, pythons: list[str], option: str) -> None:
    from matrix.environments.docker import base_pins as pins
    from matrix.environments.docker.bases import BaseMissing, candidates, find

    pinned = pins.read()
    for python in pythons:
        try:
            there = find(client, python, option, pinned)
        except BaseMissing as error:
            click.echo(f"{python:5} {error}")
            continue
        for number, base in enumerate(there):
            mark = "used" if number == 0 else ""
            click.echo(
                f"{python:5} {mark:5} {base.reference}  {base.id[7:19]}  {base.size / 1e6:.0f} MB  "
                f"Python {base.python}  {base.origin}"
            )
        if not there:
            wanted = candidates(python, option, pinned)[0]
            what = f"make it: python -m matrix bases {python}" if option == "local" else f"{wanted} would be downloaded"
            click.echo(f"{python:5} none: {what}")
