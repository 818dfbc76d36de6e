"""`pick`: the pinned toolchain for a model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import (
    PATH,
    engine_options,
    format_option,
    job_options,
    model_options,
    store_option,
    table_options,
    torch_build_option,
)
from matrix.cli.steps import INTERRUPTED, open_run, print_as
from matrix.core.errors import Interrupted, ModelUnusable, NothingProven, UsageError

if TYPE_CHECKING:
    from matrix.answers.pick.choose import Picked
    from matrix.answers.pick.constraints import Constraint
    from matrix.answers.pick.ranking import PickRequest, Preference
    from matrix.app.project import Project
    from matrix.app.run_options import RunOptions
    from matrix.store.records import RunRecord
    from matrix.table.model import ModelSpec


def _ranges() -> dict[str, str]:
    """Return the names of the options that take a range of versions, with their help."""
    from matrix.families import KNOWN

    texts = {
        "python": "Python versions for both environments: '>=3.8,<3.11', 3.9.",
        "torch": "Releases of torch that may write the .onnx file.",
    }
    for made in KNOWN.values():
        examples = {made.reads: f" beside {made.title_of(made.runtime)}", made.runtime: ": '~=2.8', '<2', 2.10"}
        for package in reversed(made.packages):
            texts.setdefault(package, f"Releases of {made.title_of(package)}{examples.get(package, '')}.")
    texts.pop("numpy", None)
    return {**texts, "numpy": "Releases of numpy, in both environments."}


class _Range(click.Option):
    """The option for a range of versions of a package, or of Python."""

    def __init__(self, package: str, text: str) -> None:
        super().__init__([f"--{package}"], metavar="RANGE", help=text)
        self.package = package


def _with_ranges(command: click.Command) -> click.Command:
    """Add the range options before --needs, except for a package whose name is an option of the command."""
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
@click.option("--needs", type=click.Choice(["tflite"]),
              help="Also required; tflite: convert the model to TensorFlow Lite too, run and compare it.")  # fmt: skip
@click.option("--single-environment", "single", is_flag=True, help="torch and TensorFlow in one environment.")
@click.option("--plain", is_flag=True, help="Only toolchains that convert the file as it is, without a remedy.")
@click.option("--prefer", type=click.Choice(["newest", "smallest", "fastest", "most-accurate", "fastest-answer"]),
              default="newest",
              show_default=True,
              help="Which likely toolchains to try first: those with the newest TensorFlow; the least disk for both "
                   "environments; the shortest inference time; the widest margin to the tolerance; the least to "
                   "download before there is an answer.")  # fmt: skip
@click.option("--prove", type=click.IntRange(1), default=1, show_default=True,
              help="Number of toolchains to verify; the preferred comes first.")  # fmt: skip
@click.option("--max-runs", type=click.IntRange(1), default=12, show_default=True, help="Most conversions to try.")
@click.option("--offline", is_flag=True, help="Answer at once, from stored evidence only, without verification.")
@click.option("--out", type=PATH, help="Folder to write the toolchain to; default: toolchain-MODEL.")
@torch_build_option
@format_option("table", "json")
@job_options
def pick(
    needs: str | None,
    single: bool,
    plain: bool,
    prefer: Preference,
    prove: int,
    max_runs: int,
    offline: bool,
    out: Path | None,
    format_: str,
    **options: Any,
) -> None:
    """Find the toolchain to install for a model, verify it by converting, and write it to files.

    Toolchains are ranked by what is known of the model's operators and tried, the best first, until one is verified.
    If no row fits, pick derives rows from the closest ones and tests them. Without a model: the toolchains that
    converted most models of the zoo, from stored evidence.

    \b
    Examples:
      python -m matrix pick --model net.onnx --tensorflow '~=2.8'
      python -m matrix pick --model models.py:build --input 1x3x224x224 --python '>=3.8,<3.11'
      python -m matrix pick --model mobilehairnet --needs tflite --prefer smallest
      python -m matrix pick --tensorflow '<2'
    """
    if offline:
        from matrix.core.gc import uncollected

        # Collecting garbage would take longer than the answer.
        click.get_current_context().with_resource(uncollected())
    from matrix.answers.pick.constraints import read_constraint

    ranges = [option for option in click.get_current_context().command.params if isinstance(option, _Range)]
    given = {option.package: options.pop(str(option.name)) for option in ranges}
    constraints = tuple(read_constraint(name, text) for name, text in given.items() if text is not None)
    project, running = open_run(**options, tflite=needs == "tflite")
    model = _model(project)
    if model is None:
        _over_the_zoo(project, running.store, constraints, prefer, format_)
        return
    from matrix.answers.pick.ranking import PickRequest

    built = _built(project) if prefer == "fastest-answer" else ()
    wanted = PickRequest(model, constraints, prefer, prove, max_runs, single, not plain, needs, built)
    if not offline:
        _prove(project, running, wanted, out, format_)
    elif needs or single:
        raise UsageError(
            "--offline: there is no evidence about TensorFlow Lite or single environments; leave out "
            f"{'--needs' if needs else '--single-environment'}, or --offline"
        )
    else:
        _from_evidence(project, running.store, wanted, format_)


def _built(project: Project) -> set[str]:
    """Return the names of the environments that this machine has. Raises EngineUnavailable."""
    engine, _ = project.engine()
    return {stored.environment for stored in engine.stored() if stored.whole}


def _model(project: Project) -> ModelSpec | None:
    """Return the model that was named. Raises UsageError for several, or for an unknown one."""
    from fnmatch import fnmatchcase

    named = [m for m in project.config.models if any(fnmatchcase(m.id, name) for name in project.models)]
    named = [*named, *(model for model in project.given if model not in named)]
    if len(named) > 1:
        raise UsageError(f"pick takes one --model, not {', '.join(model.id for model in named)}")
    if not named and project.models:
        known = ", ".join(model.id for model in project.config.models)
        raise UsageError(f"--model {project.models[0]}: the table has {known}; or name a file or a factory")
    return named[0] if named else None


def _prove(project: Project, running: RunOptions, wanted: PickRequest, out: Path | None, format_: str) -> None:
    """Verify toolchains and write the best. Raises Interrupted, ModelUnusable, and NothingProven if none fulfils the
    constraints."""
    from matrix.answers.use_cases import choose_toolchain
    from matrix.outputs.terminal.pick import document, print_picked

    folder = out or Path("toolchain-" + re.sub(r"[^\w.-]+", "-", wanted.model.id))
    _check_out(folder)
    picked, run = choose_toolchain(project, running, wanted)
    if picked.stopped:
        raise Interrupted(INTERRUPTED)
    if picked.unusable:
        raise ModelUnusable(f"model {wanted.model.id}: {picked.unusable}")
    written = str(folder) if picked.proofs else None
    if picked.proofs:
        _write(project, picked, run, folder, running.tflite)
    print_as(format_, picked, wanted, written, json=document, table=print_picked)
    if not picked.proofs or picked.given_up:
        why = f": {cause}" if not picked.proofs and (cause := picked.cause) else ""
        raise NothingProven(f"no toolchain{_asked(wanted.constraints)} could convert {wanted.model.id}{why}")


def _asked(constraints: tuple[Constraint, ...]) -> str:
    return f" with {' and '.join(map(str, constraints))}" if constraints else ""


def _check_out(folder: Path) -> None:
    """Check the folder before anything runs. Raises UsageError if it holds something else."""
    if folder.exists() and not (folder.is_dir() and ((folder / "EVIDENCE.md").exists() or not any(folder.iterdir()))):
        raise UsageError(f"--out {folder} exists and was not written by this program; name another folder")


def _write(project: Project, picked: Picked, run: RunRecord, folder: Path, tflite: bool) -> None:
    from matrix.judging.cells import tolerances_of
    from matrix.outputs.package.folder import Choice, write

    proof = picked.proofs[0]
    cell, locks = proof.cell, project.locks
    choice = Choice(
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
    )
    write(folder, choice)


def _from_evidence(project: Project, store: str | None, wanted: PickRequest, format_: str) -> None:
    """Print the best candidates by stored evidence. Raises NothingProven if there is none."""
    from matrix.answers.evidence.stored import look_up
    from matrix.answers.pick.ranking import ranker
    from matrix.outputs.terminal.pick import expected, print_expected

    model = wanted.model.id
    evidence = look_up(project, store, model)
    seen = {entry.cell for entry in evidence.entries if entry.model == model and entry.finding.verdict == "match"}
    # A measured match is better than an expected one; the preference decides within both groups.
    ranked = sorted(ranker(project, wanted, evidence)(wanted.constraints), key=lambda item: item.cell.id not in seen)
    if not ranked:
        asked = _asked(wanted.constraints) or " that fits a model of this kind"
        raise NothingProven(f"the table has no row{asked}; without --offline, rows are derived and tested")
    if format_ == "json":
        found = [{**expected(item), "seen": item.cell.id in seen} for item in ranked]
        print_as("json", json=lambda: {"schema": 1, "model": model, "offline": True, "candidates": found})
        return
    print_expected(ranked, seen)
    click.echo("from stored evidence, nothing was run; without --offline the best is verified and written to files")
    if wanted.model in project.given:
        click.echo(f"for {model} as last read; changes since then are only seen by a run")
    if not any(key[0] == model for key in evidence.profiles):
        click.echo(f"the operators of {model} are not known yet: this ranks toolchains in general")


def _over_the_zoo(
    project: Project, store: str | None, constraints: tuple[Constraint, ...], prefer: Preference, format_: str
) -> None:
    """Print the toolchains that converted most models. Raises NothingProven if there is no evidence."""
    from matrix.answers.evidence.stored import look_up
    from matrix.answers.pick.candidates import Candidates
    from matrix.answers.pick.ranking import overall, preferred
    from matrix.outputs.terminal.pick import overall_document, print_overall

    evidence = look_up(project, store)
    models = frozenset(model.id for model in project.stated.models)
    cells = Candidates(project.config, project.locks, project.build).cells(project.stated.models[0], constraints)
    key = preferred(prefer, evidence.entries)
    found = overall(cells, evidence.entries, key, models)
    if not found:
        raise NothingProven(
            "there is no stored evidence about a toolchain within the constraints; "
            "run `python -m matrix run --tier evidence`, or name a --model"
        )
    print_as(format_, found, json=overall_document, table=print_overall)
