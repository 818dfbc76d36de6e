"""`explain`: a traceback without a run."""

from __future__ import annotations

from typing import IO

import click

from matrix.cli.options import format_option
from matrix.cli.steps import print_as
from matrix.core.errors import Unrecognised, UsageError


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8", errors="replace"), default="-")
@format_option("text", "json")
def explain(file: IO[str], format_: str) -> None:
    """Explain a pasted traceback or log, and what helps.

    Reads FILE, or standard input: a traceback of Python, a notebook or pytest, the output of pip or uv, the log of a
    process that died. Needs neither a table nor a run.
    """
    from matrix.judging import pasted
    from matrix.outputs.terminal import explanation

    given = file.read()
    if not given.strip():
        raise UsageError("there is nothing to explain; name a file, or pipe a traceback in")
    read = pasted.read(given)
    found = explanation.explain(read)
    print_as(format_, read, found, json=explanation.document, text=explanation.text)
    if found is None:
        raise Unrecognised(
            "unrecognised failure; please report it with its whole text and the versions of torch, onnx, onnx-tf "
            "and TensorFlow, so that it can be described in matrix/judging/signatures.yml"
        )
