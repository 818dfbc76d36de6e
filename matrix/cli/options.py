"""The options that several commands share. Only click is imported here, because `--help` has to be quick."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
SECONDS = click.FloatRange(min=0, min_open=True)


def together(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Return one decorator for several options, which the help lists in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def format_option(*formats: str) -> Callable[[Command], Command]:
    """Return the option that chooses one of these formats; the first is the default."""
    return click.option("--format", "format_", type=click.Choice(formats), default=formats[0], show_default=True)


def day_option(name: str, text: str) -> Callable[[Command], Command]:
    """Return an option whose value is a date."""

    def date(_: click.Context, __: click.Parameter, value: dt.datetime | None) -> dt.date | None:
        return value.date() if value else None

    return click.option(name, type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", callback=date, help=text)


# The options of every command that reads the table.
table_options = together(
    click.option("--table", type=PATH, default=Path("matrix.yml"), show_default=True,
                 help="The compatibility table; if there is none here, that of this program's checkout."),
    click.option("--state", type=PATH, default=Path(".matrix"), show_default=True, envvar="MATRIX_STATE",
                 help="Folder for everything a run stores."),
    click.option("--index-url", metavar="URL",
                 help="Package index to use instead of UV_DEFAULT_INDEX or PIP_INDEX_URL."),
    click.option("--find-links", metavar="PLACE", multiple=True,
                 help="Folder or page with further wheels, such as CPU builds of torch. Repeatable; "
                      "default: UV_FIND_LINKS or PIP_FIND_LINKS."),
)  # fmt: skip

model_options = together(
    click.option("--model", "models", metavar="MODEL", multiple=True,
                 help="A model of the table (or a glob over them), FILE.onnx, or a torch factory as "
                      "FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION."),
    click.option("--checkpoint", metavar="FILE", type=PATH, help="Weights for the factory's model."),
    click.option("--checkpoint-key", metavar="KEY",
                 help="The entry of the checkpoint that holds the weights, such as model."),
    click.option("--input", "inputs", metavar="INPUT", multiple=True,
                 help="An input, in the order of forward(): [NAME=]SHAPE[:DTYPE][:LOW..HIGH], such as "
                      "image=1x3x224x224 or tokens=1xlength@16:int64:0..1000, where length@16 is a dynamic axis. "
                      "Repeatable."),
    click.option("--output", "outputs", metavar="NAME", multiple=True, help="A name for an output. Repeatable."),
    click.option("--source", metavar="FOLDER", type=PATH,
                 help="Folder from which the factory's modules are imported; it is only read."),
    click.option("--inputs", "inputs_file", metavar="FILE.npz", type=PATH,
                 help="Inputs to use instead of random ones: arrays named INPUT, or CASE/INPUT."),
    click.option("--reference", metavar="FILE.npz", type=PATH,
                 help="Expected outputs of an .onnx file for --inputs, used instead of ONNX Runtime's."),
    click.option("--seed", type=click.IntRange(0), metavar="N",
                 help="Replace the factory's weights by random ones, the same for every torch."),
    click.option("--trust", is_flag=True,
                 help="Allow the checkpoint to run code. Without it, a virtual environment loads weights only, which "
                      "needs torch 2.6 or newer. Not needed with --engine docker."),
)  # fmt: skip

torch_build_option = click.option(
    "--torch-build", metavar="NAME", default="auto", show_default=True,
    help="Build of torch where a row has several: index, the name of a build such as cpu, or auto (the build whose "
         "wheel --find-links holds).",
)  # fmt: skip

selection_options = together(
    click.option("--tier", metavar="NAME", help="Part of the table to use; default: the table's default tier."),
    click.option("--only", metavar="WHAT", multiple=True,
                 help="Narrow it: 'onnx-tf>=1.8', 'torch==1.12.*', 'opset<=11', 'python==3.9', "
                      "'converter=onnxtf1.10*', or a glob over ids. Different keys narrow, the same key "
                      "twice widens."),
    click.option("--with", "with_", metavar="PIN", multiple=True,
                 help="A version that is not in matrix.yml: 'tensorflow==2.11.0' alters the closest row. "
                      "Repeatable."),
    torch_build_option,
    model_options,
)  # fmt: skip

base_option = click.option(
    "--base", metavar="WHICH", default="auto", show_default=True, envvar="MATRIX_BASE",
    help="Base images for docker: registry (python:X.Y-slim), local (made by `python -m matrix bases`), a name with "
         "{python} in it, or auto (an image that is present, local before a download).",
)  # fmt: skip

engine_options = together(
    click.option("--engine", "engine_name", type=click.Choice(["auto", "docker", "venv"]), default="auto",
                 show_default=True, envvar="MATRIX_ENGINE",
                 help="docker: one image for each environment, code is sandboxed. venv: virtual environments, code is "
                      "not sandboxed. auto: docker if it is running."),
    base_option,
)  # fmt: skip

store_option = click.option(
    "--store", metavar="URL", envvar="MATRIX_STORE",
    help="SQLAlchemy URL of the database; default: SQLite in the state folder.",
)  # fmt: skip

jobs_option = click.option("--jobs", "-j", type=click.IntRange(1), help="Parallel jobs; default: the number of cores.")
locked_option = click.option("--locked", is_flag=True, help="Never resolve: exit 9 if a lock is missing or stale.")
again_option = click.option("--again", is_flag=True, help="Run jobs even if their finding is stored.")

job_options = together(
    jobs_option,
    click.option("--timeout", "seconds", type=SECONDS, metavar="SECONDS", help="Time limit for one pass of one job."),
    click.option("--memory", "memory_mb", type=click.IntRange(64), metavar="MB",
                 help="Limit for the resident memory of one job."),
    locked_option,
)  # fmt: skip

resolution_options = together(
    click.option("--resolution", type=click.Choice(["then", "now", "both"]), default="then", show_default=True,
                 help="then: every environment from its committed lock. now: one environment of each cell resolved as "
                      "of today, with its pins and its Python unchanged. both: side by side."),
    day_option("--as-of", "The day that `now` means; default: today. Only what the index had before that day (UTC) "
                          "counts."),
)  # fmt: skip

include_option = click.option(
    "--include", metavar="MODEL", multiple=True, help="Also include a model that is not in matrix.yml. Repeatable."
)
