"""Options that several commands share, and the group that loads a command's module only when it is called."""

from __future__ import annotations

import importlib
import keyword
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from matrix.app.project import Project

Command = TypeVar("Command", bound=Callable[..., Any])


class CommandGroup(click.Group):
    """A click group whose commands live in modules of their names; `summaries` are their lines in the help."""

    def __init__(self, *args: Any, summaries: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._summaries = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._summaries:
            return None
        # `import` is a keyword.
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command = getattr(importlib.import_module(f"matrix.cli.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*self._summaries.items()])


def table_options(command: Command) -> Command:
    """--table, --state and the index: what every command that reads the table takes."""
    for option in reversed(
        [
            click.option("--table", type=click.Path(path_type=Path), default=Path("matrix.yml"), show_default=True,
                         help="The compatibility table; where there is none here, that of this program's checkout."),
            click.option("--state", type=click.Path(path_type=Path), default=Path(".matrix"), show_default=True,
                         envvar="MATRIX_STATE", help="Folder for everything a run leaves behind."),
            click.option("--index-url", metavar="URL",
                         help="Package index instead of the one UV_DEFAULT_INDEX or PIP_INDEX_URL names."),
            click.option("--find-links", metavar="PLACE", multiple=True,
                         help="Folder or page with further wheels, such as CPU builds of torch. Repeatable; "
                              "default: UV_FIND_LINKS or PIP_FIND_LINKS."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def model_options(command: Command) -> Command:
    """--model and what says more about a model of one's own."""
    for option in reversed(
        [
            click.option("--model", "models", metavar="MODEL", multiple=True,
                         help="A model of the table (or a glob over them), FILE.onnx, or a torch factory as "
                              "FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION."),
            click.option("--checkpoint", metavar="FILE", type=click.Path(path_type=Path),
                         help="Weights for the factory's model."),
            click.option("--checkpoint-key", metavar="KEY",
                         help="The entry of the checkpoint that holds the weights, such as model."),
            click.option("--input", "inputs", metavar="INPUT", multiple=True,
                         help="What goes in, in the order of forward(): [NAME=]SHAPE[:DTYPE][:LOW..HIGH], such as "
                              "image=1x3x224x224 or tokens=1xlength@16:int64:0..1000; length@16 is an axis of free "
                              "size. Repeatable."),
            click.option("--output", "outputs", metavar="NAME", multiple=True, help="Names for what comes out."),
            click.option("--source", metavar="FOLDER", type=click.Path(path_type=Path),
                         help="Folder the factory's modules are imported from; only read."),
            click.option("--inputs", "inputs_file", metavar="FILE.npz", type=click.Path(path_type=Path),
                         help="Inputs to use instead of drawn ones: arrays named INPUT, or CASE/INPUT."),
            click.option("--reference", metavar="FILE.npz", type=click.Path(path_type=Path),
                         help="Outputs of an .onnx file for --inputs that are right, whatever ONNX Runtime says."),
            click.option("--seed", type=click.IntRange(0), metavar="N",
                         help="Replace the factory's weights by drawn ones, the same for every torch."),
            click.option("--trust", is_flag=True,
                         help="The checkpoint may run code. Without it a virtual environment loads weights only, which "
                              "torch can from 2.6 on; a container needs no such word."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def selection_options(command: Command) -> Command:
    """--tier, --only, --with, --torch-build, and which models."""
    command = model_options(command)
    for option in reversed(
        [
            click.option("--tier", metavar="NAME", help="Which part of the table; default: the table's default tier."),
            click.option("--only", metavar="WHAT", multiple=True,
                         help="Narrow it: 'onnx-tf>=1.8', 'torch==1.12.*', 'opset<=11', 'python==3.9', "
                              "'converter=onnxtf1.10*', or a glob over ids. Different keys narrow, the same key "
                              "twice widens."),
            click.option("--with", "with_", metavar="PIN", multiple=True,
                         help="A combination that is no row: 'tensorflow==2.11.0' alters the closest row. Repeatable."),
            click.option("--torch-build", metavar="NAME", default="auto", show_default=True,
                         help="Build of torch where a row has several: index, the name of a build such as cpu, or "
                              "auto (the build whose wheel --find-links holds)."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def engine_options(command: Command) -> Command:
    """--engine, --base."""
    for option in reversed(
        [
            click.option("--engine", "engine_name", type=click.Choice(["auto", "docker", "venv"]), default="auto",
                         show_default=True, envvar="MATRIX_ENGINE",
                         help="docker: an image for every environment, jobs in a cage. venv: virtual environments, no "
                              "cage. auto: docker where an engine answers."),
            click.option("--base", metavar="WHICH", default="auto", show_default=True, envvar="MATRIX_BASE",
                         help="Base images for docker: registry (python:X.Y-slim), local (made by `python -m matrix "
                              "bases`), a name with {python} in it, or auto (what is there, local before a download)."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def store_option(command: Command) -> Command:
    """--store."""
    return click.option(
        "--store",
        metavar="URL",
        envvar="MATRIX_STORE",
        help="SQLAlchemy URL of the database; default: SQLite in the state folder.",
    )(command)


def open_project(
    table: Path,
    state: Path,
    index_url: str | None,
    find_links: tuple[str, ...],
    tier: str | None = None,
    only: tuple[str, ...] = (),
    models: tuple[str, ...] = (),
    with_: tuple[str, ...] = (),
    torch_build: str = "auto",
    engine_name: str = "auto",
    base: str = "auto",
    **about: Any,
) -> Project:
    from matrix.app.project import Project
    from matrix.cli.model_options import About, sort_out
    from matrix.core.paths import TABLE
    from matrix.packages.index import IndexSettings
    from matrix.store.state import State

    if table == Path("matrix.yml") and not table.exists() and TABLE.exists():
        # Called from elsewhere, such as a project of the user's own: nothing is left behind there.
        table = TABLE
        state = TABLE.parent / state if state == Path(".matrix") else state
        click.echo(f"table {table}, state {state}", err=True)
    project = Project(
        table=table,
        state=State(state.absolute()),
        settings=IndexSettings.resolve(index=index_url, find_links=find_links),
        tier=tier,
        only=only,
        with_=with_,
        torch_build=torch_build,
        engine_name=engine_name,
        base=base,
    )
    wanted = About(**about)
    if models or not wanted.silent:
        known = [model.id for model in project.stated.models]
        named, given = sort_out(models, wanted, known)
        return project.selecting(models=named, given=given)
    return project
