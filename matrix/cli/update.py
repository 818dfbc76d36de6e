"""`update`: rows for new releases."""

from __future__ import annotations

from typing import Any

import click

from matrix.cli.options import format_option, table_options
from matrix.cli.steps import open_project, print_as, say
from matrix.core.errors import ConfigError, Indeterminate, NewReleases, UsageError


@click.command()
@table_options
@click.option("--check", is_flag=True, help="Write nothing; exit 16 if there is a release to add.")
@click.option("--dry-run", is_flag=True, help="Write nothing; print the change as a diff.")
@format_option("text", "json")
def update(check: bool, dry_run: bool, format_: str, **options: Any) -> None:
    """Look for releases of torch, onnx, onnx-tf and tensorflow that are not in the table, and add rows for them.

    Of every minor series from the table's newest on, the newest release becomes a row if compatible packages exist; a
    release without any is noted as a comment, and not tried again. Comments, order and all other bytes of the table
    are kept. Locks are not written: `python -m matrix lock` does that.
    """
    import datetime as dt

    from matrix.answers.releases import report
    from matrix.answers.releases.additions import additions, changed_table, noted
    from matrix.answers.releases.index import IndexReleases
    from matrix.answers.releases.survey import survey
    from matrix.core import files as durable
    from matrix.table.editing import difference
    from matrix.table.source import parse_source

    if check and dry_run:
        raise UsageError("--check and --dry-run cannot be combined; choose one")
    project = open_project(**options)
    # The file itself, where the table is a link to it.
    path = project.table.resolve()
    data = path.read_bytes()
    before = data.decode()
    today = dt.datetime.now(dt.UTC).date()
    found = survey(project.stated, noted(before), IndexReleases(project.settings, say), today)
    added = additions(found)
    after = changed_table(parse_source(before, project.table), added)
    diff = difference(before, after, project.table.name)
    writing = bool(diff) and not check and not dry_run
    if writing:
        if path.read_bytes() != data:
            raise ConfigError(f"{project.table}: changed while releases were looked up; run the same command again")
        durable.write_bytes(path, after.encode(), mode=path.stat().st_mode & 0o777)
    print_as(format_, json=lambda: report.document(found, added, diff, writing), text=lambda: report.text(found))
    if format_ == "text" and dry_run and diff:
        click.echo(f"\n{diff}", nl=False)
    elif format_ == "text" and writing:
        click.echo(f"{project.table}: {report.added(added)}")
    if check and added.rows:
        rows = "1 row" if len(added.rows) == 1 else f"{len(added.rows)} rows"
        raise NewReleases(f"{rows} could be added; run `python -m matrix update` and commit the result")
    undecided = [f"{proposal.package} {proposal.version}" for proposal in found.of("undecided")]
    undecided += [package for package, _ in found.unlisted]
    if undecided:
        raise Indeterminate(f"could not decide about {', '.join(undecided)}; run the same command again later")
