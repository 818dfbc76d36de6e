"""`explain`: for people who have nothing but a traceback."""

from __future__ import annotations

from typing import IO

import click


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8", errors="replace"), default="-")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")
def explain(file: IO[str], format_: str) -> None:
    """Say what a pasted traceback or log means, and what helps.

    Reads FILE, or standard input: a traceback of Python, a notebook or pytest, what pip or uv printed, the log of a
    process that died. Needs no table and no run.
    """
    import json

    from matrix.core.errors import Unrecognised, UsageError
    from matrix.judging import pasted
    from matrix.outputs.terminal import explanation

    given = file.read()
    if not given.strip():
        raise UsageError("there is nothing to explain; give a file, or pipe a traceback in")
    read = pasted.read(given)
    found = explanation.explain(read)
    if format_ == "json":
        click.echo(json.dumps(explanation.document(read, found), indent=1))
    else:
        click.echo(explanation.text(read, found))
    if found is None:
        raise Unrecognised(
            "a failure of no known kind; please report it with its whole text and the versions of torch, onnx, onnx-tf "
            "and TensorFlow, so that it can be described in matrix/judging/signatures.yml"
        )
