"""The profile of a run on the terminal: what its time and its processors were used for, and what decided its end."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.history.critical_path import PathStep
from matrix.history.profile import Known, RunProfile, TimeRow
from matrix.outputs.documents.profile import notes
from matrix.outputs.terminal.console import grid, open_console
from matrix.outputs.wording.words import counted
from matrix.store.runs import utc

# So many rows of a table, and steps of the critical path; JSON has all.
_ROWS, _STEPS = 30, 15

_UNKNOWN = "unknown"


def print_profile(found: RunProfile, console: Console | None = None) -> None:
    """Print to standard output."""
    console = open_console(console=console)
    run = found.run
    passes = "1 pass" if len(found.passes) == 1 else f"{len(found.passes)} passes"
    console.print(
        Text(f"run {run.id}  {utc(run.started):%Y-%m-%d %H:%M}  {run.tier}  {run.engine}  {run.status}", style="bold")
    )
    console.print(
        Text(
            f"{found.wall:.1f} s on {_count(found.cores, 'core')} with {_count(found.slots, 'slot')}: "
            f"{counted(found.jobs, 'job')} run in {passes}, {run.jobs_cached} cached"
        )
    )
    console.print()
    console.print(_processors(found))
    console.print()
    console.print(_elapsed(found))
    console.print()
    if found.busy is not None:
        console.print(f"busy: stages used {found.busy:.0%} of the processor seconds of {_count(found.cores, 'core')}")
    at_once = ", ".join(f"{number} for {seconds:.1f} s" for number, seconds in enumerate(found.at_once))
    console.print(f"passes at once: {at_once}")
    for heading, rows in (
        ("stage", found.by_stage),
        ("job type", found.by_kind),
        ("environment", found.by_environment),
    ):
        console.print()
        _print_rows(console, heading, rows, found)
    console.print()
    _print_path(console, found)
    for note in notes(found):
        console.print(Text(f"note: {note}", style="dim"), soft_wrap=True)


def _processors(found: RunProfile) -> Table:
    available = found.core_seconds
    table = grid(("processor seconds", "seconds", "share"), numbers=("seconds", "share"))
    for name, seconds, unknown in (
        ("available: cores × elapsed", available, 0),
        ("stages of passes", found.stage_cpu.seconds, found.stage_cpu.unknown),
        ("driver", found.driver_cpu, 0),
        ("children of the driver outside stages: builds, start of workers", found.other_cpu, 0),
    ):
        share = f"{seconds / available:.1%}" if seconds is not None and available else ""
        table.add_row(name, _sum(Known(seconds, unknown)), share)
    return table


def _elapsed(found: RunProfile) -> Table:
    table = grid(("elapsed seconds, of all slots together", "seconds"), numbers=("seconds",))
    builds = f"builds of {counted(len(found.builds), 'environment')}" if found.builds_known else "builds"
    for name, known in (
        ("passes", Known(found.pass_seconds, 0)),
        ("of these, waited: no stage used a processor", found.waited),
        ("slots without a pass", Known(found.idle_seconds, 0)),
        (builds, Known(found.build_seconds, 0)),
    ):
        table.add_row(name, _sum(known))
    return table


def _print_rows(console: Console, heading: str, rows: Sequence[TimeRow], found: RunProfile) -> None:
    table = grid(
        (heading, "count", "seconds", "processor", "share"), numbers=("count", "seconds", "processor", "share")
    )
    for row in rows[:_ROWS]:
        # Names come from workers and must not be read as markup.
        table.add_row(Text(row.name), str(row.count), f"{row.seconds:.1f}", _sum(row.cpu), f"{found.share(row):.1%}")
    console.print(table)
    if len(rows) > _ROWS:
        console.print(f"… and {len(rows) - _ROWS} more; --format json lists all")


def _print_path(console: Console, found: RunProfile) -> None:
    longest = sorted(found.path, key=lambda step: -(step.seconds + step.waited))[:_STEPS]
    console.print(
        f"critical path: {found.path_seconds:.1f} s in {counted(len(found.path), 'step')}; none of them ran for "
        f"{found.path_waited:.1f} s"
    )
    numbers = ("began", "seconds", "waited before", "passes")
    table = grid(("began", "seconds", "waited before", "job type", "environment", "passes"), numbers=numbers)
    for step in found.path:
        if step in longest:
            table.add_row(*_step(step))
    console.print(table)
    if len(found.path) > len(longest):
        console.print(f"the {len(found.path) - len(longest)} shortest steps are not shown; --format json lists all")


def _step(step: PathStep) -> tuple[str | Text, ...]:
    seconds = (f"{value:.1f}" for value in (step.began, step.seconds, step.waited))
    return (*seconds, Text(step.kind), Text(step.environment), str(step.spans))


def _sum(value: Known) -> str:
    """Return `12.3`, `≥ 12.3` where something is missing from the sum, or `unknown`."""
    if value.seconds is None:
        return _UNKNOWN
    return f"{'≥ ' if value.unknown else ''}{value.seconds:.1f}"


def _count(number: float | None, what: str) -> str:
    """Return `2 cores`, or `an unknown number of cores`."""
    return f"an unknown number of {what}s" if number is None else f"{number:g} {what}{'' if number == 1 else 's'}"
