"""`predict`: the expected outcome of each toolchain for a model, from stored evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import engine_options, format_option, selection_options, store_option, table_options
from matrix.cli.steps import INTERRUPTED, open_run, print_as
from matrix.core.errors import Interrupted, NothingSelected, UsageError

if TYPE_CHECKING:
    from matrix.answers.evidence import Evidence
    from matrix.app.project import Project
    from matrix.app.run_options import RunOptions
    from matrix.planning import Plan

# The evidence was made of the cells of this tier.
_TIER = "evidence"

# So many exporters are tried on a model that has not been read yet; the first that can write it is enough.
_READINGS = 3


@click.command()
@click.argument("model", required=False)
@table_options
@selection_options
@engine_options
@store_option
@click.option("--offline", is_flag=True, help="Run nothing: predict only for a model that a run has exported before.")
@format_option("table", "json")
@click.option("--export-evidence", is_flag=True,
              help="Write the evidence about the table's models to evidence/ beside the table.")  # fmt: skip
def predict(
    model: str | None,
    offline: bool,
    format_: str,
    export_evidence: bool,
    models: tuple[str, ...],
    tier: str | None,
    **options: Any,
) -> None:
    """Predict the outcome of each toolchain for a model, without converting.

    MODEL as for `run --model`: a model of the table, FILE.onnx or FILE.py:FUNCTION. Its operators are read once, by an
    exporter or from the file, and stored. The probability is that of a match without remedies; it is computed from
    the table of ONNX releases, operator coverage and past cells of all models.
    """
    from matrix.answers.prediction import Predictor
    from matrix.outputs.terminal.prediction import document, print_predictions

    named = (*((model,) if model else ()), *models)
    project, running = open_run(models=named, tier=tier, **options)
    if tier is None and _TIER in project.stated.tiers:
        project = project.selecting(tier=_TIER)
    if export_evidence:
        _export(project, running)
        return
    if not named:
        raise UsageError("name a model: a model of the table, FILE.onnx or FILE.py:FUNCTION")
    plan = project.plan()
    several = sorted({cell.model.id for cell in plan.cells})
    if len(several) > 1:
        raise UsageError(f"predict takes one model, not {', '.join(several)}")
    predictor = Predictor(project.config, _evidence(project, running, plan, offline), locks=project.locks)
    # Rows without companions leave open what a prediction is based on, and are never recommended.
    found = [(cell, predictor.predict(cell)) for cell in plan.cells if cell.converter.companions]
    found.sort(key=lambda item: (-item[1].probability, item[0].id))
    print_as(format_, json=lambda: document(several[0], found), table=lambda: print_predictions(found))


def _evidence(project: Project, running: RunOptions, plan: Plan, offline: bool) -> Evidence:
    """Return the evidence, after reading the model's operators if no earlier run has.

    Raises NothingSelected if that is not allowed or no exporter can write the model, and Interrupted.
    """
    from matrix.answers.evidence.stored import look_up
    from matrix.answers.use_cases import read_models
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
            raise NothingSelected(f"the operators of {model} are not stored yet; without --offline they are read")
        if cell.exporter.id in tried or len(tried) == _READINGS:
            continue
        tried.append(cell.exporter.id)
        if not read_models(project, running, [cell]):
            raise Interrupted(INTERRUPTED)
        evidence = look_up(project, running.store, model)
    if tried and not any(key[0] == model for key in evidence.profiles):
        raise NothingSelected(
            f"{model} could not be exported by {', '.join(tried)}; see `python -m matrix status` for the reason"
        )
    return evidence


def _export(project: Project, running: RunOptions) -> None:
    from matrix.answers.evidence import shipped
    from matrix.answers.evidence.stored import look_up

    evidence = look_up(project, running.store)
    for path in shipped.write(shipped.folder(project.table), evidence, project.stated):
        click.echo(f"{path}: {path.stat().st_size / 1000:.0f} kB")
