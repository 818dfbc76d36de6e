"""`pick`: the pinned toolchain for a model."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import engine_options, model_options, open_project, store_option, table_options

if TYPE_CHECKING:
    from matrix.answers.pick.choose import Picked
    from matrix.answers.pick.constraints import Constraint
    from matrix.answers.pick.ranking import PickRequest
    from matrix.app.project import Project
    from matrix.app.runtime import RunOptions
    from matrix.store.records import RunRecord
    from matrix.table.model import ModelSpec


def _pinned() -> dict[str, str]:
    """What each package that rows of converters pin is, by its name: the text of its option."""
    from matrix.families import KNOWN

    texts: dict[str, str] = {}
    for made in KNOWN.values():
        runtime = made.title_of(made.runtime)
        for package in reversed(made.packages):
            text = f"Releases of {made.title_of(package)}"
            if package == made.runtime:
                text += ": '~=2.8', '<2', 2.10"
            elif package == made.reads:
                text += f" beside {runtime}"
            texts.setdefault(package, f"{text}.")
    return texts


def _ranges() -> dict[str, str]:
    """The options that take a range, by the name of what it is of, with their texts."""
    return {
        "python": "Pythons both environments may have: '>=3.8,<3.11', 3.9.",
        "torch": "Releases of torch that may write the .onnx file.",
        **{package: text for package, text in _pinned().items() if package not in ("torch", "numpy")},
        "numpy": "Releases of numpy, in both environments.",
    }


class _Range(click.Option):
    """The option for a range of versions of a package, or of Python."""

    def __init__(self, package: str, text: str) -> None:
        super().__init__([f"--{package}"], metavar="RANGE", help=text)
        self.package = package


def _with_ranges(command: click.Command) -> click.Command:
    """Put the ranges before what else has to work. A package that is called like an option of the command has none."""
    taken = {"--help", *(text for parameter in command.params for text in parameter.opts)}
    ranges = [_Range(package, text) for package, text in _ranges().items() if f"--{package}" not in taken]
    place = next(number for number, parameter in enumerate(command.params) if parameter.name == "needs")
    command.params[place:place] = ranges
    return command


@_with_ranges
@click.command()
@table_options
@model_options
@engine_options
@store_option
@click.option(
    "--needs",
    type=click.Choice(["tflite"]),
    help="What else has to work: tflite carries the model on to TensorFlow Lite, run and compared.",
)
@click.option("--single-environment", "single", is_flag=True, help="torch and TensorFlow in one environment.")
@click.option("--plain", is_flag=True, help="Only what needs no change of the file between torch and TensorFlow.")
@click.option(
    "--prefer",
    type=click.Choice(["newest", "smallest", "fastest", "most-accurate"]),
    default="newest",
    show_default=True,
    help="Among likely toolchains: the newest TensorFlow; the least disk of both environments; TensorFlow's least time "
    "for an inference; the widest margin to the tolerance.",
)
@click.option(
    "--prove",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many to prove; the preferred comes first.",
)
@click.option("--max-runs", type=click.IntRange(1), default=12, show_default=True, help="Conversions to try at most.")
@click.option("--offline", is_flag=True, help="Answer at once, from stored evidence alone, and prove nothing.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for what is handed over; default: toolchain-MODEL."
)
@click.option("--torch-build", metavar="NAME", default="auto", show_default=True, help="As for `run`.")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--jobs", "-j", type=click.IntRange(1), help="Jobs at once; default: the number of cores.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Limit for one pass of one job."
)
@click.option("--memory", type=click.IntRange(64), metavar="MB", help="Limit for one job's resident memory.")
@click.option("--locked", is_flag=True, help="Never resolve: exit 9 if a lock is missing or stale.")
def pick(
    store: str | None,
    needs: str | None,
    single: bool,
    plain: bool,
    prefer: str,
    prove: int,
    max_runs: int,
    offline: bool,
    out: Path | None,
    format_: str,
    jobs: int | None,
    timeout: float | None,
    memory: int | None,
    locked: bool,
    **options: Any,
) -> None:
    """Find the toolchain to install for a model, prove it by converting, and hand it over as files.

    Toolchains are ranked by what is known of the model's operators and tried, the best first, until one is proven.
    Without a model: what carried most models of the zoo, from stored evidence.

    \b
    Examples:
      python -m matrix pick --model net.onnx --tensorflow '~=2.8'
      python -m matrix pick --model models.py:build --input 1x3x224x224 --python '>=3.8,<3.11'
      python -m matrix pick --model mobilehairnet --needs tflite --prefer smallest
      python -m matrix pick --tensorflow '<2'
    """
    if offline:
        from matrix.core.gc import uncollected

        # The answer is there before its garbage is worth a look.
        click.get_current_context().with_resource(uncollected())
    from matrix.answers.pick.constraints import read_constraint

    ranges = [option for option in click.get_current_context().command.params if isinstance(option, _Range)]
    given = {option.package: options.pop(str(option.name)) for option in ranges}
    constraints = tuple(read_constraint(name, text) for name, text in given.items() if text is not None)
    project = open_project(**options)
    model = _model(project)
    if model is None:
        _over_the_zoo(project, store, constraints, prefer, format_)
        return
    from matrix.answers.pick.ranking import PickRequest

    wanted = PickRequest(model, constraints, prefer, prove, max_runs, single, not plain, needs)  # type: ignore[arg-type]
    if offline:
        if needs or single:
            from matrix.core.errors import UsageError

            raise UsageError(
                "--offline: evidence tells nothing of TensorFlow Lite or of one environment; leave out "
                f"{'--needs' if needs else '--single-environment'}, or --offline"
            )
        _from_evidence(project, store, wanted, format_)
        return
    from matrix.answers.use_cases import RunOptions

    running = RunOptions(
        store=store,
        jobs=jobs or os.cpu_count() or 2,
        seconds=timeout,
        memory_mb=memory,
        locked=locked,
        tflite=needs == "tflite",
        command=f"python -m matrix {shlex.join(sys.argv[1:])}",
    )
    _prove(project, running, wanted, out, format_)


def _model(project: Project) -> ModelSpec | None:
    """The one model that was named. Raises UsageError for several."""
    from fnmatch import fnmatchcase

    from matrix.core.errors import UsageError

    named = [m for m in project.config.models if any(fnmatchcase(m.id, name) for name in project.models)]
    named = [*named, *(model for model in project.given if model not in named)]
    if len(named) > 1:
        raise UsageError(f"pick takes one --model, not {', '.join(model.id for model in named)}")
    if not named and project.models:
        known = ", ".join(model.id for model in project.config.models)
        raise UsageError(f"--model {project.models[0]}: the table has {known}; a file or a factory may be named too")
    return named[0] if named else None


def _prove(project: Project, running: RunOptions, wanted: PickRequest, out: Path | None, format_: str) -> None:
    from matrix.answers.use_cases import choose_toolchain
    from matrix.core.errors import Interrupted, NothingProven
    from matrix.outputs.terminal.picked import document, print_picked

    folder = out or Path("toolchain-" + re.sub(r"[^\w.-]+", "-", wanted.model.id))
    _check_out(folder)
    picked, run = choose_toolchain(project, running, wanted)
    if picked.stopped:
        raise Interrupted("interrupted; what had finished is stored, the same command continues")
    handed_over = str(folder) if picked.proofs else None
    if picked.proofs:
        _hand_over(project, picked, run, folder, running.tflite)
    if format_ == "json":
        click.echo(json.dumps(document(picked, wanted, handed_over), indent=1))
    else:
        print_picked(picked, wanted, handed_over)
    if not picked.proofs or picked.given_up:
        asked = " and ".join(map(str, wanted.constraints))
        raise NothingProven(f"no toolchain {f'with {asked} ' if asked else ''}was seen to convert {wanted.model.id}")


def _check_out(folder: Path) -> None:
    """Before anything runs. Raises UsageError for a folder that holds something else."""
    from matrix.core.errors import UsageError

    if folder.exists() and not (folder.is_dir() and ((folder / "EVIDENCE.md").exists() or not any(folder.iterdir()))):
        raise UsageError(
            f"--out {folder} is there already and was not handed over by this program; name another folder"
        )


def _hand_over(project: Project, picked: Picked, run: RunRecord, folder: Path, tflite: bool) -> None:
    from matrix.judging.cells import tolerances_of
    from matrix.outputs.package.folder import Choice, write

    proof = picked.proofs[0]
    cell, locks = proof.cell, project.locks
    write(
        folder,
        Choice(
            cell=cell,
            result=proof.result,
            converter=locks[cell.converter.id],
            exporter=locks[project.exporter_environment(cell)] if cell.exporter.writes else None,
            reference=locks[project.config.reference.id],
            tolerances=tolerances_of(project.config, cell.model.id),
            root=project.table.absolute().parent,
            run=run,
            tflite=tflite,
            code=project.code,
        ),
    )


def _from_evidence(project: Project, store: str | None, wanted: PickRequest, format_: str) -> None:
    """The best candidates as stored evidence has it."""
    from matrix.answers.evidence.stored import look_up
    from matrix.answers.pick.ranking import ranker
    from matrix.core.errors import NothingProven
    from matrix.outputs.terminal.expected import expected, print_expected

    evidence = look_up(project, store, wanted.model.id)
    ranked = ranker(project, wanted, evidence)(wanted.constraints)
    seen = {
        entry.cell for entry in evidence.entries if entry.model == wanted.model.id and entry.finding.verdict == "match"
    }
    # What was seen is better than what is expected; the preference decides among it.
    ranked = sorted(ranked, key=lambda item: item.cell.id not in seen)
    if not ranked:
        asked = " and ".join(map(str, wanted.constraints)) or "what a model of this kind needs"
        raise NothingProven(f"no row of the table is within {asked}; without --offline rows are made and tried")
    if format_ == "json":
        found = [{**expected(item), "seen": item.cell.id in seen} for item in ranked]
        click.echo(json.dumps({"schema": 1, "model": wanted.model.id, "offline": True, "candidates": found}, indent=1))
        return
    print_expected(ranked, seen)
    click.echo("from stored evidence alone, nothing was run; without --offline the best is proven and handed over")
    if wanted.model in project.given:
        click.echo(f"of {wanted.model.id} as it was when it was last read: what is in it today, only a run can tell")
    if not any(key[0] == wanted.model.id for key in evidence.profiles):
        click.echo(f"the operators of {wanted.model.id} are not known yet: this says how toolchains do in general")


def _over_the_zoo(
    project: Project, store: str | None, constraints: tuple[Constraint, ...], prefer: str, format_: str
) -> None:
    from matrix.answers.evidence.stored import look_up
    from matrix.answers.pick.candidates import Candidates
    from matrix.answers.pick.ranking import overall, preferred
    from matrix.core.errors import NothingProven
    from matrix.outputs.terminal.expected import overall_document, print_overall

    evidence = look_up(project, store)
    models = frozenset(model.id for model in project.stated.models)
    cells = Candidates(project.config, project.locks, project.build).cells(project.stated.models[0], constraints)
    key = preferred(prefer, evidence.entries)  # type: ignore[arg-type]
    found = overall(cells, evidence.entries, key, models)
    if not found:
        raise NothingProven(
            "no stored evidence about any toolchain within the constraints; "
            "`python -m matrix run --tier evidence` makes some, and with --model it is made as needed"
        )
    if format_ == "json":
        click.echo(json.dumps(overall_document(found), indent=1))
    else:
        print_overall(found)
