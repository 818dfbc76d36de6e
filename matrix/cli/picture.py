"""`picture`: what torch and TensorFlow make of one image."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import engine_options, model_options, open_project, store_option, table_options

if TYPE_CHECKING:
    from matrix.app.project import Project
    from matrix.judging.cells import CellResult
    from matrix.planning.cells import Cell


@click.command()
@click.argument("cell")
@click.option("--image", type=click.Path(path_type=Path), required=True, help="PNG, JPEG, WebP, BMP, GIF or TIFF.")
@click.option("--out", type=click.Path(path_type=Path), help="The picture, a .png; default: named after the cell.")
@click.option("--dye", metavar="COLOUR", default="#b0306a", show_default=True, help="Colour for where the mask is.")
@click.option("--channel", type=click.IntRange(0), default=0, show_default=True,
              help="Which channel of the output is looked at.")  # fmt: skip
@table_options
@model_options
@click.option("--torch-build", metavar="NAME", default="auto", show_default=True, help="As for `run`.")
@engine_options
@store_option
@click.option("--again", is_flag=True, help="Run jobs even where a finding is stored.")
def picture(
    cell: str,
    image: Path,
    out: Path | None,
    dye: str,
    channel: int,
    store: str | None,
    again: bool,
    **options: Any,
) -> None:
    """Draw what an image-to-image model makes of one image, in torch and in TensorFlow.

    CELL is an id as tables print it, `model/exporter@opset/converter`; a part of it or a glob will do where only one
    cell of the table, or of those that were run before, fits. The middle of the image is cut out, resized to what the
    model takes and normalised to [-1, 1]; then the cell runs with it, exactly as `run` would.

    \b
    Example:
      python -m matrix picture mobilehairnet/torch-1.12.1@15/onnxtf1.10.0-onnx1.10.2-tf2.8.0 \\
          --image samples/portrait.png
    """
    import tempfile

    from matrix.answers.use_cases import RunOptions, execute
    from matrix.core import files as durable
    from matrix.core.errors import Indeterminate, Interrupted
    from matrix.execution.inputs import pack
    from matrix.outputs.picture.compose import compose, summary
    from matrix.outputs.picture.draw import as_png
    from matrix.outputs.picture.one_cell import image_size, masks, with_image
    from matrix.outputs.picture.panels import agreement
    from matrix.outputs.picture.preprocess import fit, read_image, to_tensor
    from matrix.store.blobs import FolderBlobs
    from matrix.table.ids import ArrayKey

    colour = _colour(dye)
    project = open_project(**options)
    chosen = _cell(project, store, cell)
    channels, height, width = image_size(chosen.model)
    path = out or Path(f"{chosen.id.replace('/', '_')}.png")
    _check_out(path, image)
    seen = fit(read_image(image), height, width)
    with tempfile.TemporaryDirectory(prefix="matrix-picture-") as folder:
        inputs = Path(folder) / "inputs.npz"
        inputs.write_bytes(pack({str(ArrayKey("0", chosen.model.inputs[0].name)): to_tensor(seen, channels)}))
        command = f"python -m matrix {shlex.join(sys.argv[1:])}"
        report, _ = execute(
            with_image(project, chosen, inputs),
            RunOptions(store=store, jobs=os.cpu_count() or 2, again=again, command=command),
        )
    if report.status == "interrupted":
        raise Interrupted("interrupted; what had finished is stored, the same command continues")
    result = report.results[0]
    if result.finding.indeterminate:
        raise Indeterminate(f"{chosen.id} could not be measured: {result.finding.reason}; {result.finding.title}")
    both, names = masks(result, FolderBlobs(project.state.blobs), channel, (height, width))
    drawn = compose(seen, both, names, _title(chosen, result), _subtitles(result, image, channel), colour)
    durable.write_bytes(path, as_png(drawn), mode=0o644)
    click.echo(f"{path}: {result.finding.verdict}; {summary(agreement(*both), names)}")


def _cell(project: Project, store: str | None, text: str) -> Cell:
    """The one cell of the table that `text` means; of several, the one that was run before."""
    from matrix.cli.chosen import like
    from matrix.core.errors import UsageError
    from matrix.outputs.picture.one_cell import cells_like

    cells = {cell.id: cell for cell in cells_like(project, text).cells}
    fitting = like(text, cells)
    if len(fitting) > 1:
        history = project.state.open_store(store)
        try:
            known = set(history.cell_ids())
        finally:
            history.close()
        fitting = [name for name in fitting if name in known] or fitting
    if len(fitting) > 1:
        raise UsageError(f"{text!r} fits {len(fitting)} cells: {', '.join(fitting[:8])}")
    return cells[fitting[0]]


def _colour(text: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    from matrix.core.errors import UsageError

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise UsageError(f"--dye {text!r} is no colour; write one such as '#b0306a' or crimson") from error
    return red, green, blue


def _check_out(path: Path, image: Path) -> None:
    """Before anything is run."""
    from matrix.core.errors import UsageError

    if path.suffix.lower() != ".png":
        raise UsageError(f"--out {path}: the picture is a PNG; name it with .png at the end")
    if not path.parent.is_dir() or path.is_dir():
        raise UsageError(
            f"--out {path}: {path if path.is_dir() else path.parent} is {'a' if path.is_dir() else 'no'} folder"
        )
    if path.exists() and image.exists() and path.samefile(image):
        raise UsageError(f"--out {path} is the image itself")


def _title(cell: Cell, result: CellResult) -> str:
    found = result.finding
    return f"{cell.model.id}: {found.verdict}{f' ({found.reason})' if found.reason else ''}"


def _subtitles(result: CellResult, image: Path, channel: int) -> list[str]:
    record, written = result.record, result.opset_written
    if result.export.kind == "inspect":
        source = f".onnx file of opset {written}"
    elif not record.cell_id.has_exporter:
        source = "the torch module itself"
    else:
        source = f"torch {record.torch}, opset {record.opset}"
        if written not in (None, record.opset):
            source += f" (written: {written})"
    versions = [
        f"{result.distributions.get(name, name)} {version}" for name, version in result.versions.items() if version
    ]
    return [
        " · ".join([source, *versions, f"Python {result.python}"]),
        f"{image.name} · channel {channel} of the output",
    ]
