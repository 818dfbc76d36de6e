"""`image`: a toolchain as a container image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import base_option, locked_option, table_options, torch_build_option
from matrix.cli.steps import open_project, say
from matrix.core.errors import Unsatisfiable, UsageError

if TYPE_CHECKING:
    from matrix.app.project import Project
    from matrix.packages.lock import Lock
    from matrix.table.model import ConverterRow


@click.command()
@click.argument("row")
@table_options
@base_option
@click.option("--tag", metavar="NAME", help="Name of the image; default: torch-tf-matrix/ROW:latest.")
@click.option("--push", "registry", metavar="REGISTRY", help="Push the image too, as REGISTRY/NAME.")
@click.option("--reference", type=click.Choice(["carried", "none"]), default="carried", show_default=True,
              help="carried: include ONNX Runtime. none: smaller; expected outputs are given as .npz.")  # fmt: skip
@click.option("--with-exporter", "exporter", metavar="ROW",
              help="Add this exporter's torch to the environment, if one environment can hold both.")  # fmt: skip
@torch_build_option
@locked_option
def image(
    row: str,
    tag: str | None,
    registry: str | None,
    reference: str,
    exporter: str | None,
    locked: bool,
    **options: Any,
) -> None:
    """Make an image of one converter row, for anyone with Docker: it converts an .onnx file and reports the match.

    \b
    Examples:
      python -m matrix image onnxtf1.10.0-onnx1.10.2-tf2.8.0
      docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" \\
          torch-tf-matrix/onnxtf1.10.0-onnx1.10.2-tf2.8.0 model.onnx
    """
    import asyncio

    from matrix.environments.docker.engine import DockerEngine
    from matrix.families import family_of
    from matrix.outputs.package.image.image import ImagePackager, check_tag, default_tag, push, remote_name
    from matrix.outputs.package.image.joint import joint_lock

    project = open_project(engine_name="docker", **options)
    converter = _converter(project, row)
    name = tag or default_tag(f"{row}-{exporter}" if exporter else row)
    check_tag(remote_name(name, registry) if registry else name)
    family = family_of(converter)
    if family.source != "onnx" or family.folder is not None:
        raise UsageError(f"{row}: images are made of built-in families that convert .onnx files, not of {family.title}")
    engine, why = project.engine()
    assert isinstance(engine, DockerEngine)
    say(why)
    with project.state.held():
        engine.recover()
        if exporter:
            lock = _resolved(joint_lock(project, converter, exporter, say, allowed=not locked))
        else:
            lock = _lock(project, row, locked)
        second = _lock(project, project.config.reference.id, locked)
        tolerances: dict[str, tuple[float, float]] = {
            kind: (item.rtol, item.atol) for kind, item in project.config.tolerances.items()
        }
        packager = ImagePackager(engine, project.state.mark, family, tolerances, name, reference == "carried")
        made = asyncio.run(packager.make(lock, second))
    origin = f"ONNX Runtime {made.onnxruntime}, included" if made.onnxruntime else f"given as .npz ({made.why})"
    click.echo(f"{made.tag}: {made.size_mb} MB; reference: {origin}")
    if registry is not None:
        click.echo(f"pushed {push(engine.client, made.tag, registry)}")
        name = remote_name(name, registry)
    click.echo(f'docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" {name.removesuffix(":latest")} model.onnx')


def _converter(project: Project, row: str) -> ConverterRow:
    """Return a converter row by its id. Raises UsageError for an unknown one."""
    known = {item.id: item for item in project.config.converters}
    if row not in known:
        raise UsageError(f"no converter row {row}; the table has: {', '.join(known)}")
    return known[row]


def _lock(project: Project, row: str, locked: bool) -> Lock:
    """Return the current lock of a row. Raises LockStale, Indeterminate and Unsatisfiable."""
    project.ensure_locks([row], say, allowed=not locked)
    return _resolved(project.locks[row])


def _resolved(lock: Lock) -> Lock:
    """Return the lock. Raises Unsatisfiable if it has no solution."""
    if lock.outcome != "resolved":
        raise Unsatisfiable(
            f"no set of packages fulfils the pins of {lock.name}; choose other rows, or keep exporter and converter in "
            f"separate environments, as `run` does. The resolver's explanation:\n{lock.explanation}"
        )
    return lock
