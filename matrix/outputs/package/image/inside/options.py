"""The command line of the image."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from matrix.outputs.package.image.inside.mistake import Mistake
from matrix.outputs.package.image.inside.telling import EXIT_CODES
from matrix.outputs.package.image.inside.toolchain import Toolchain


@dataclass(frozen=True)
class ImageOptions:
    """`shapes` maps an input's name to its sizes; `output` None means beside the model."""

    model: Path
    inputs: Path | None
    reference: Path | None
    shapes: dict[str, tuple[int, ...]]
    output: Path | None
    overwrite: bool
    json: bool


def parse(toolchain: Toolchain, arguments: list[str] | None = None) -> ImageOptions:
    """Raises Mistake; leaves the program by itself for --help."""
    parser = _Parser(
        prog="IMAGE",
        usage='docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" IMAGE MODEL.onnx [OPTION ...]',
        description=f"Convert an .onnx file to {toolchain.scheme.title} with {_words(toolchain)}, and say how it "
        "matched.\n"
        "Files are named relative to the mounted folder; the result goes beside the model, into MODEL.tf/.",
        epilog="exit codes:\n" + "\n".join(f"  {code:<4} {words}" for code, words in EXIT_CODES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL.onnx", type=Path)
    parser.add_argument("--inputs", metavar="IN.npz", type=Path,
                        help="feed these instead of made-up values: keys `<case>/<input name>`")  # fmt: skip
    parser.add_argument("--reference", metavar="OUT.npz", type=Path,
                        help="compare with these outputs for --inputs: keys `<case>/<output name>`; "
                             + _default(toolchain))  # fmt: skip
    parser.add_argument("--shape", metavar="NAME=1x3x224x224", action="append", default=[],
                        help="the shape of an input that the file leaves open; repeatable")  # fmt: skip
    parser.add_argument("--output", metavar="DIR", type=Path, help="folder for the result; default: MODEL.tf")
    parser.add_argument("--overwrite", action="store_true",
                        help="put the result among other files; those with the same names go")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    found = parser.parse_args(arguments)
    if found.reference is not None and found.inputs is None:
        raise Mistake("--reference needs --inputs too: the inputs that gave these outputs")
    if found.inputs is not None and found.shape:
        raise Mistake("--shape is for made-up values; with --inputs the arrays have their own shapes")
    return ImageOptions(
        model=found.model,
        inputs=found.inputs,
        reference=found.reference,
        shapes=dict(map(_shape, found.shape)),
        output=found.output,
        overwrite=found.overwrite,
        json=found.json,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Mistake(f"{message}; --help shows how it is used")


def _words(toolchain: Toolchain) -> str:
    return f"{toolchain.words} (row {toolchain.row})"


def _default(toolchain: Toolchain) -> str:
    if toolchain.onnxruntime is None:
        return "this image carries no reference, so without them nothing is compared"
    return f"default: ONNX Runtime {toolchain.onnxruntime}, carried in this image"


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    # Names may hold any character, sizes never an equals sign.
    name, equals, sizes = text.rpartition("=")
    try:
        shape = tuple(int(size) for size in sizes.split("x")) if sizes else ()
    except ValueError:
        shape = (0,)
    if not equals or not name or any(size < 1 for size in shape):
        raise Mistake(f"--shape {text!r}: write the input's name and its sizes, such as NAME=1x3x224x224")
    return name, shape
