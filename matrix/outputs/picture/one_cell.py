"""One cell of the table run with one image: its project, and the masks that it gave."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from matrix.app.project import Project
from matrix.core.errors import NoPicture, NothingSelected
from matrix.families.scheme import MEMORY
from matrix.judging.arrays import UnreadableArrays, read_arrays
from matrix.judging.cells import CellResult
from matrix.outputs.picture.panels import Mask
from matrix.planning import Plan, Selection, make_plan
from matrix.planning.cells import Cell
from matrix.store.blobs import BlobStore
from matrix.table.ids import ArrayKey
from matrix.table.model import Config, ModelSpec, Tier
from matrix.table.selectors import Condition

_TIER = "picture"


@dataclass(frozen=True)
class OneCell(Project):
    """A project with one more tier, which is one cell."""

    cell: str = field(kw_only=True)

    @property
    def config(self) -> Config:
        stated = super().config
        tier = Tier(about="one cell with one image", cells=({"cell": self.cell},))
        return stated.model_copy(update={"tiers": {**stated.tiers, _TIER: tier}})


def with_image(project: Project, cell: Cell, inputs: Path) -> OneCell:
    """Return the project that runs `cell` with the arrays of an .npz file as the only inputs. The model gets another
    name, since the result for one image is not the finding of the table's cell."""
    name = f"{cell.model.id}.picture"
    pictured = cell.model.model_copy(update={"id": name, "inputs_file": str(inputs.absolute()), "reference": None})
    stated = {item.name: getattr(project, item.name) for item in dataclasses.fields(project)}
    stated |= {"tier": _TIER, "given": (*project.given, pictured)}
    return OneCell(**stated, cell=dataclasses.replace(cell, model=pictured).id)


def cells_like(project: Project, text: str) -> Plan:
    """Return the plan of all cells of the table whose id contains `text` or matches it as a glob. Raises
    NothingSelected."""
    everything = Tier(about="everything", rule="full")
    config = project.config.model_copy(update={"tiers": {_TIER: everything}})
    selection = Selection(_TIER, (Condition("cell", (f"*{text}*",)),))
    try:
        return make_plan(config, project.locks, selection, project.build)
    except NothingSelected as error:
        raise NothingSelected(
            f"the table has no cell like {text!r}; `python -m matrix plan --tier full --format cells` lists them; "
            "for a model of your own, repeat its options: --model … --input …"
        ) from error


def image_size(model: ModelSpec) -> tuple[int, int, int]:
    """Return channels, height, width of the image a model takes. Raises NoPicture if it takes anything else."""
    if not model.inputs:
        raise NoPicture(f"{model.id}: to picture an .onnx file, state its inputs in the table")
    shape = model.inputs[0].shape
    image = len(shape) == 4 and shape[0] == 1 and shape[1] in (1, 3) and model.inputs[0].dtype == "float32"
    if len(model.inputs) != 1 or not image:
        taken = ", ".join(f"{item.name} {_said(item.shape)} {item.dtype}" for item in model.inputs)
        raise NoPicture(
            f"{model.id} takes {taken}; a picture needs a model whose input is one image, 1x3xHxW or 1x1xHxW float32, "
            "and whose output is one too"
        )
    return shape[1], shape[2], shape[3]


def masks(
    result: CellResult, blobs: BlobStore, channel: int, size: tuple[int, int]
) -> tuple[tuple[Mask, Mask], tuple[str, str]]:
    """Return one channel of the first outputs of the original and of the converted model, each H x W, and their
    sources. The original is torch's, for an .onnx file ONNX Runtime's; the other is that of the first artifact that
    could be reloaded, else of the converted model in memory. `size` is the image's height and width.

    Raises NoPicture if there is no such output, or if it is not an image in that ratio.
    """
    original, name = result.export.file("torch.npz"), "torch"
    if original is None and result.reference is not None:
        original, name = result.reference.file("reference.npz"), "ONNX Runtime"
    scheme, convert = result.family.scheme, result.convert
    if original is None and convert is not None and scheme.torch:
        # From torch in the converter's own environment.
        original = convert.file("torch.npz")
    kept = (*(loaded.numbers for loaded in scheme.artifacts if not loaded.makes), MEMORY)
    converted = next((blob for name in kept if convert is not None and (blob := convert.file(name))), None)
    if original is None or converted is None:
        raise NoPicture(f"no picture of {result.record.cell}: {_why(result)}")
    one, other = (_first_output(blobs.local(blob), channel, result.record.model) for blob in (original, converted))
    if one.shape != other.shape:
        raise NoPicture(
            f"no picture of {result.record.cell}: {name} gives {_said(one.shape)}, not {_said(other.shape)}"
        )
    if one.shape[0] * size[1] != one.shape[1] * size[0]:
        raise NoPicture(f"{result.record.model} gives {_said(one.shape)}, not in the ratio of its input")
    return (one, other), (name, scheme.title)


def _first_output(path: Path, channel: int, model: str) -> Mask:
    try:
        arrays = read_arrays(path)
    except (UnreadableArrays, OSError) as error:
        raise NoPicture(f"the stored outputs cannot be read: {error}; compute them again with --again") from error
    # Files are written case by case, within a case in the order of the outputs.
    output = next((array for key, array in arrays.items() if ArrayKey.parse(key).case == "0"), None)
    if output is None or output.ndim != 4 or output.shape[0] != 1 or not output.size or output.dtype.kind != "f":
        given = "nothing" if output is None else f"{_said(output.shape)} {output.dtype}"
        raise NoPicture(f"{model} gives {given}; a picture needs an image as first output: 1xCxHxW, floating point")
    if channel >= output.shape[1]:
        raise NoPicture(f"{model} gives {_said(output.shape)}: there is no channel {channel}")
    mask: Mask = output[0, channel]
    return mask


def _why(result: CellResult) -> str:
    """Return `error at converter/run, optional-input-left-out: the converter stumbles over …`."""
    finding = result.judgement.finding
    place = f" at {finding.where}" if finding.where else ""
    reason = f", {finding.reason}" if finding.reason else ""
    title = f": {finding.title}" if finding.title else ""
    return f"{finding.verdict}{place}{reason}{title}\ndetails: python -m matrix show '{result.record.cell}'"


def _said(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
