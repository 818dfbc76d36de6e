"""`image`: a toolchain as an image to take away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import open_project, table_options

if TYPE_CHECKING:
    from matrix.app.project import Project
    from matrix.packages.lock import Lock
    from matrix.table.model import ConverterRow


@click.command()
@click.argument("row")
@table_options
@click.option("--base", metavar="WHICH", default="auto", show_default=True, envvar="MATRIX_BASE",
              help="Base images: registry, local, or a name with {python} in it, as for `run`.")  # fmt: skip
@click.option("--tag", metavar="NAME", help="Name of the image; default: torch-tf-matrix/ROW:latest.")
@click.option("--push", "registry", metavar="REGISTRY", help="Send it there too, as REGISTRY/NAME.")
@click.option("--reference", type=click.Choice(["carried", "none"]), default="carried", show_default=True,
              help="carried: ONNX Runtime goes along. none: smaller, outputs are given as .npz.")  # fmt: skip
@click.option("--with-exporter", "exporter", metavar="ROW",
              help="One environment with this exporter's torch as well, if there is one that holds both.")  # fmt: skip
@click.option("--torch-build", metavar="NAME", default="auto", show_default=True, help="As for `run`.")
@click.option("--locked", is_flag=True, help="Never resolve: exit 9 if a lock is missing or stale.")
def image(
    row: str,
    tag: str | None,
    registry: str | None,
    reference: str,
    exporter: str | None,
    locked: bool,
    **options: Any,
) -> None:
    """Make an image of one converter row, for anybody with Docker: it converts an .onnx file and says how it matched.

    \b
    Examples:
      python -m matrix image onnxtf1.10.0-onnx1.10.2-tf2.8.0
      docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" \\
          torch-tf-matrix/onnxtf1.10.0-onnx1.10.2-tf2.8.0 model.onnx
    """
    import asyncio

    from matrix.core.errors import UsageError
    from matrix.environments.docker.engine import DockerEngine
    from matrix.families import family_of
    from matrix.outputs.package.image.image import ImagePackager, check_tag, default_tag, push, remote_name

    project = open_project(engine_name="docker", **options)
    converter = _converter(project, row)
    name = tag or default_tag(f"{row}-{exporter}" if exporter else row)
    check_tag(remote_name(name, registry) if registry else name)
    family = family_of(converter)
    if family.source != "onnx" or family.folder is not None:
        raise UsageError(f"{row}: images are made of our own families that convert .onnx files, not of {family.title}")
    engine, why = project.engine()
    assert isinstance(engine, DockerEngine)
    _say(why)
    with project.state.held():
        engine.recover()
        lock = _joint(project, converter, exporter, locked) if exporter else _lock(project, row, locked)
        second = _lock(project, project.config.reference.id, locked)
        tolerances: dict[str, tuple[float, float]] = {
            kind: (item.rtol, item.atol) for kind, item in project.config.tolerances.items()
        }
        packager = ImagePackager(engine, project.state.mark, family, tolerances, name, reference == "carried")
        made = asyncio.run(packager.make(lock, second))
    told = f"ONNX Runtime {made.onnxruntime}, carried" if made.onnxruntime else f"given as .npz ({made.why})"
    click.echo(f"{made.tag}: {made.size_mb} MB; reference: {told}")
    if registry is not None:
        click.echo(f"pushed {push(engine.client, made.tag, registry)}")
        name = remote_name(name, registry)
    click.echo(f'docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" {name.removesuffix(":latest")} model.onnx')


def _converter(project: Project, row: str) -> ConverterRow:
    from matrix.core.errors import UsageError

    known = {item.id: item for item in project.config.converters}
    if row not in known:
        raise UsageError(f"no converter row {row}; the table has: {', '.join(known)}")
    return known[row]


def _lock(project: Project, row: str, locked: bool) -> Lock:
    from matrix.environments.locks.keep import stale

    outdated = stale(project.requests([row]), project.locks)
    if outdated:
        project.refresh(outdated, _say, allowed=not locked)
    return _resolved(project.locks[row])


def _joint(project: Project, converter: ConverterRow, exporter: str, locked: bool) -> Lock:
    from matrix.outputs.package.image.joint import joint_lock

    return _resolved(joint_lock(project, converter, exporter, _say, allowed=not locked))


def _resolved(lock: Lock) -> Lock:
    from matrix.core.errors import Unsatisfiable

    if lock.outcome != "resolved":
        raise Unsatisfiable(
            f"no set of packages fulfils the pins of {lock.name}; choose other rows, or keep exporter and converter in "
            f"environments of their own, as `run` does. The resolver says:\n{lock.explanation}"
        )
    return lock


def _say(text: str) -> None:
    click.echo(text, err=True)
