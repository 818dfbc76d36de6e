"""`picture`: the output of torch and of TensorFlow for one image."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import (
    PATH,
    again_option,
    engine_options,
    model_options,
    store_option,
    table_options,
    torch_build_option,
)
from matrix.cli.steps import INTERRUPTED, open_run
from matrix.core.errors import Indeterminate, Interrupted, UsageError

if TYPE_CHECKING:
    from matrix.app.project import Project
    from matrix.judging.cells import CellResult
    from matrix.planning.cells import Cell


@click.command()
@click.argument("cell")
@click.option("--image", type=PATH, required=True, help="PNG, JPEG, WebP, BMP, GIF or TIFF.")
@click.option("--out", type=PATH, help="The picture to write, a .png; default: named after the cell.")
@click.option("--dye", metavar="COLOUR", default="#b0306a", show_default=True, help="Colour of the mask.")
@click.option("--channel", type=click.IntRange(0), default=0, show_default=True,
              help="Channel of the output to draw.")  # fmt: skip
@table_options
@model_options
@torch_build_option
@engine_options
@store_option
@again_option
def picture(cell: str, image: Path, out: Path | None, dye: str, channel: int, **options: Any) -> None:
    """Draw the output of an image-to-image model for one image, in torch and in TensorFlow.

    CELL is an id as tables print it, `model/exporter@opset/converter`, or a part of it or a glob if only one cell of
    the table, or only one that was run before, fits. The centre of the image is cut out, resized to the model's
    input and normalised to [-1, 1]; then the cell runs with it, exactly as with `run`.

    \b
    Example:
      python -m matrix picture mobilehairnet/torch-1.12.1@15/onnxtf1.10.0-onnx1.10.2-tf2.8.0 \\
          --image samples/portrait.png
    """
    import tempfile

    from matrix.answers.use_cases import execute
    from matrix.core import files as durable
    from matrix.execution.drawn_inputs import pack
    from matrix.outputs.picture.compose import compose, summary
    from matrix.outputs.picture.draw import as_png
    from matrix.outputs.picture.one_cell import image_size, masks, with_image
    from matrix.outputs.picture.panels import agreement
    from matrix.outputs.picture.preprocess import fit, read_image, to_tensor
    from matrix.store.blobs import FolderBlobs
    from matrix.table.ids import ArrayKey

    colour = _colour(dye)
    project, running = open_run(**options)
    chosen = _cell(project, running.store, cell)
    channels, height, width = image_size(chosen.model)
    path = out or Path(f"{chosen.id.replace('/', '_')}.png")
    _check_out(path, image)
    seen = fit(read_image(image), height, width)
    with tempfile.TemporaryDirectory(prefix="matrix-picture-") as folder:
        inputs = Path(folder) / "inputs.npz"
        inputs.write_bytes(pack({str(ArrayKey("0", chosen.model.inputs[0].name)): to_tensor(seen, channels)}))
        report, _ = execute(with_image(project, chosen, inputs), running)
    if report.status == "interrupted":
        raise Interrupted(INTERRUPTED)
    result = report.results[0]
    if result.finding.indeterminate:
        raise Indeterminate(f"{chosen.id} could not be measured: {result.finding.reason}; {result.finding.title}")
    both, names = masks(result, FolderBlobs(project.state.blobs), channel, (height, width))
    drawn = compose(seen, both, names, _title(chosen, result), _subtitles(result, image, channel), colour)
    durable.write_bytes(path, as_png(drawn), mode=0o644)
    click.echo(f"{path}: {result.finding.verdict}; {summary(agreement(*both), names)}")


def _cell(project: Project, store: str | None, text: str) -> Cell:
    """Return the one cell of the table that `text` names; of several, the one that was run before.

    Raises UsageError for several, NothingSelected for none.
    """
    from matrix.cli.chosen import like, only
    from matrix.outputs.picture.one_cell import cells_like

    cells = {cell.id: cell for cell in cells_like(project, text).cells}
    fitting = like(text, cells)
    if len(fitting) > 1:
        with contextlib.closing(project.state.open_store(store)) as history:
            known = set(history.cell_ids())
        fitting = [name for name in fitting if name in known] or fitting
    return cells[only(text, fitting)]


def _colour(text: str) -> tuple[int, int, int]:
    """Read a colour. Raises UsageError."""
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise UsageError(f"--dye {text!r} is not a colour; use one such as '#b0306a' or crimson") from error
    return red, green, blue


def _check_out(path: Path, image: Path) -> None:
    """Check where to write before anything runs. Raises UsageError."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"--out {path}: the picture is a PNG; use a name that ends with .png")
    if path.is_dir():
        raise UsageError(f"--out {path} is a folder; add a file name")
    if not path.parent.is_dir():
        raise UsageError(f"--out {path}: there is no folder {path.parent}; make it first")
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
