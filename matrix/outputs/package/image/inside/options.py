"""The command line of the image."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from matrix.core.errors import UsageError
from matrix.outputs.package.image.inside.report import EXIT_CODES
from matrix.outputs.package.image.inside.toolchain import Toolchain


@dataclass(frozen=True)
class ImageOptions:
    """`shapes` maps an input's name to its sizes; `output` None is beside the model."""

    model: Path
    inputs: Path | None
    reference: Path | None
    shapes: dict[str, tuple[int, ...]]
    output: Path | None
    overwrite: bool
    json: bool


def parse(toolchain: Toolchain, arguments: list[str] | None = None) -> ImageOptions:
    """Parse the command line. Raises UsageError, and SystemExit for --help."""
    parser = _Parser(
        prog="IMAGE",
        usage='docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" IMAGE MODEL.onnx [OPTION ...]',
        description=f"Convert an .onnx file to {toolchain.scheme.title} with {toolchain.words} (row {toolchain.row}) "
        "and compare the numbers.\n"
        "Files are named relative to the mounted folder; the result goes beside the model, into MODEL.tf/.",
        epilog="exit codes:\n" + "\n".join(f"  {code:<4} {words}" for code, words in EXIT_CODES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL.onnx", type=Path)
    parser.add_argument("--inputs", metavar="IN.npz", type=Path,
                        help="feed these instead of drawn values: keys `<case>/<input name>`")  # fmt: skip
    parser.add_argument("--reference", metavar="OUT.npz", type=Path,
                        help="compare with these outputs for --inputs: keys `<case>/<output name>`; "
                             + _default(toolchain))  # fmt: skip
    parser.add_argument("--shape", metavar="NAME=1x3x224x224", action="append", default=[],
                        help="shape of an input that the file leaves open; repeatable")  # fmt: skip
    parser.add_argument("--output", metavar="DIR", type=Path, help="folder for the result; default: MODEL.tf")
    parser.add_argument("--overwrite", action="store_true",
                        help="write into a folder with other files; those of the same names are replaced")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    found = parser.parse_args(arguments)
    if found.reference is not None and found.inputs is None:
        raise UsageError("--reference needs --inputs too: the inputs that gave these outputs")
    if found.inputs is not None and found.shape:
        raise UsageError("--shape cannot be combined with --inputs: the arrays have their own shapes")
    options = vars(found)
    return ImageOptions(shapes=dict(map(_shape, options.pop("shape"))), **options)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see --help")


def _default(toolchain: Toolchain) -> str:
    if toolchain.onnxruntime is None:
        return "this image carries no reference, without them nothing is compared"
    return f"default: ONNX Runtime {toolchain.onnxruntime}, carried in this image"


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    # Names may hold any character, sizes never an equals sign.
    name, equals, sizes = text.rpartition("=")
    try:
        shape = tuple(int(size) for size in sizes.split("x")) if sizes else ()
    except ValueError:
        shape = (0,)
    if not equals or not name or any(size < 1 for size in shape):
        raise UsageError(f"--shape {text!r}: write the input's name and its sizes, such as NAME=1x3x224x224")
    return name, shape
