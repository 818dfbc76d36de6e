"""`predict`: what a model will come to with each toolchain, from what is known, without converting it."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import engine_options, open_project, selection_options, store_option, table_options

if TYPE_CHECKING:
    from matrix.answers.evidence import Evidence
    from matrix.app.project import Project
    from matrix.planning import Plan

# The cells foretold: what evidence there is was made of these.
_TIER = "evidence"

# So many exporters are asked to write a model of which nothing is known; the first that can is enough.
_READINGS = 3


@click.command()
@click.argument("model", required=False)
@table_options
@selection_options
@engine_options
@store_option
@click.option("--offline", is_flag=True, help="Read nothing: only a model that some run has exported before.")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option(
    "--export-evidence",
    is_flag=True,
    help="Write what is known of the table's own models to evidence/ beside the table, for others to have.",
)
def predict(
    model: str | None,
    store: str | None,
    offline: bool,
    format_: str,
    export_evidence: bool,
    models: tuple[str, ...],
    tier: str | None,
    **options: Any,
) -> None:  # fmt: skip
    """Say what a model will come to with each toolchain, without converting it.

    MODEL as for `run --model`: a model of the table, FILE.onnx or FILE.py:FUNCTION. Its operators are read once, by an
    exporter or from the file, and remembered. The probability is that of a match without remedies; it comes from
    the table of ONNX releases, operator coverage and past cells of all models.
    """
    import json

    from matrix.answers.prediction import Predictor
    from matrix.answers.use_cases import RunOptions
    from matrix.core.errors import UsageError
    from matrix.outputs.terminal.prediction import document, print_predictions

    named = (*((model,) if model else ()), *models)
    project = open_project(models=named, tier=tier, **options)
    if tier is None and _TIER in project.stated.tiers:
        project.tier = _TIER
    running = RunOptions(
        store=store, jobs=os.cpu_count() or 2, command=f"python -m matrix {shlex.join(sys.argv[1:])}"
    )  # fmt: skip
    if export_evidence:
        _export(project, running)
        return
    if not named:
        raise UsageError("name a model: a model of the table, FILE.onnx or FILE.py:FUNCTION")
    plan = project.plan()
    several = sorted({cell.model.id for cell in plan.cells})
    if len(several) > 1:
        raise UsageError(f"one model at a time, not {', '.join(several)}")
    evidence = _known(project, running, plan, offline)
    predictor = Predictor(project.config, evidence, locks=project.locks)
    # Rows without companions leave open what a prediction goes by, and nobody is recommended them.
    found = [(cell, predictor.predict(cell)) for cell in plan.cells if cell.converter.companions]
    found.sort(key=lambda item: (-item[1].probability, item[0].id))
    if format_ == "json":
        click.echo(json.dumps(document(several[0], found), indent=1))
    else:
        print_predictions(found)


def _known(project: Project, running: Any, plan: Plan, offline: bool) -> Evidence:
    """The evidence, with the model's operators read where no earlier run has done it. Raises NothingSelected where that
    is not allowed or no exporter could."""
    from matrix.answers.evidence.stored import look_up
    from matrix.answers.use_cases import read_models
    from matrix.core.errors import Interrupted, NothingSelected
    from matrix.table.ids import DIRECT

    model = plan.cells[0].model.id
    evidence = look_up(project, running.store, model)
    tried: list[str] = []
    # A converter that takes the torch module itself needs no file.
    readers = [cell for cell in plan.cells if cell.exporter.via != DIRECT]
    # The newest exporters write most models.
    for cell in sorted(readers, key=lambda cell: cell.exporter.released, reverse=True):
        if any(key[0] == model for key in evidence.profiles):
            return evidence
        if offline:
            raise NothingSelected(f"nothing is known of {model} yet; without --offline its operators are read")
        if cell.exporter.id in tried or len(tried) == _READINGS:
            continue
        tried.append(cell.exporter.id)
        if not read_models(project, running, [cell]):
            raise Interrupted("interrupted; the same command continues")
        evidence = look_up(project, running.store, model)
    if tried and not any(key[0] == model for key in evidence.profiles):
        raise NothingSelected(f"{model} could not be written by {', '.join(tried)}; `python -m matrix status` says why")
    return evidence


def _export(project: Project, running: Any) -> None:
    from matrix.answers.evidence import shipped
    from matrix.answers.evidence.stored import look_up

    evidence = look_up(project, running.store)
    for path in shipped.write(shipped.folder(project.table), evidence, project.stated):
        click.echo(f"{path}: {path.stat().st_size / 1000:.0f} kB")
