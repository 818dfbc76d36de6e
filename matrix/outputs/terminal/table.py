"""The table of a run on the terminal, and the advice below it."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from packaging.version import Version
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from matrix.history.report import RunReport
from matrix.history.then_and_now import DriftStanding
from matrix.judging.cells import CellResult
from matrix.outputs.terminal.console import grid, open_console
from matrix.outputs.wording import words
from matrix.outputs.wording.columns import RowColumns
from matrix.packages.versions import minor

# Wide enough that no column is cut in a log or a pipe.
_PIPE_WIDTH = 180

# So many trials of a search are shown for one reason; `show` and the JSON have the rest.
_MOST_TRIALS = 4

# On a narrower terminal lines wrap, which is better than columns that vanish.
_LEAST_WIDTH = 120

_STANDING_STYLES: dict[DriftStanding, str] = {
    "works then and now": "green",
    "worked then, broken now": "bold red",
    "never worked": "dim red",
    "mended": "bold green",
    "not known": "dim",
}


def print_report(report: RunReport, console: Console | None = None) -> None:
    """Print to standard output."""
    console = open_console(_PIPE_WIDTH, console)
    if console.width < _LEAST_WIDTH:
        console = Console(width=_LEAST_WIDTH)
    results = list(report.results)
    of_now = {side.now.record.cell for side in report.sides}
    plain = [result for result in results if result.record.cell not in of_now]
    tables: list[RenderableType] = [_table(plain, report), Text("")] if plain or not of_now else []
    if of_now:
        tables += [_then_and_now(report), Text("")]
    console.print(Group(*tables, *_advice(results), _closing(report, results)))
    for name, why in report.unresolved.items():
        console.print(Text(f"not resolved: {name}: {why}", style="dim"), soft_wrap=True)
    if report.drift_text:
        console.print(Text(f"\n{report.drift_text}"), soft_wrap=True)


def _table(results: list[CellResult], report: RunReport) -> Table:
    several_models = len({result.record.model for result in results}) > 1
    rows = RowColumns.of(result.family for result in results)
    # Only if it was asked for.
    lite = ("tflite",) if any(words.tflite(result) for result in results) else ()
    columns = (*(["model"] if several_models else []), "exporter", "opset", "python", *rows.names)
    columns = (*columns, "verdict", "where", "reason", "max abs", *lite)
    table = grid(columns, wrapping=("reason", "model"), numbers=("max abs", "tflite"))
    for result in results:
        verdict = Text(words.verdict(result), style=words.style(result))
        if report.complaints.get(result.record.cell):
            verdict.append(" !")
        table.add_row(
            *([result.record.model] if several_models else []),
            result.record.exporter,
            words.opset(result),
            result.python,
            *rows.fields(result.family, result.versions),
            verdict,
            words.where(result),
            Text(words.because(result), style="dim" if result.finding.indeterminate else ""),
            words.max_abs(result),
            *([words.tflite(result)] if lite else []),
        )
    return table


def _then_and_now(report: RunReport) -> Group:
    """Lay out the cells of now beside those of then."""
    several_models = len({side.now.record.model for side in report.sides}) > 1
    columns = (*(["model"] if several_models else []), "moved", "with", "opset", "python", "then")
    table = grid((*columns, f"now {report.as_of}", "standing", "where", "reason"), wrapping=("reason",))
    for side in report.sides:
        table.add_row(
            *([side.now.record.model] if several_models else []),
            *words.environments(side),
            words.opset(side.now),
            minor(side.now.export.python) if side.side == "exporter" else side.now.python,
            _verdict(side.then) if side.then else Text("not measured", style="dim"),
            _verdict(side.now),
            Text(side.standing, style=_STANDING_STYLES[side.standing]),
            words.where(side.now),
            words.because(side.now),
        )
    standings = Counter(side.standing for side in report.sides)
    summary = ", ".join(f"{standings[name]} {name}" for name in get_args(DriftStanding) if standings[name])
    blamed = [Text.assemble((cell, "bold"), f"\n    {answer}") for cell, answer in report.blames.items()]
    hint = _next(report)
    return Group(table, Text(""), Text(summary, style="bold"), *blamed, *([Text(hint, style="dim")] if hint else []))


def _verdict(result: CellResult) -> Text:
    return Text(words.verdict(result), style=words.style(result))


def _next(report: RunReport) -> str:
    """Suggest the next command."""
    if report.blames:
        return "details of one cell: python -m matrix show CELL"
    broken = next((s for s in report.sides if s.standing == "worked then, broken now"), None)
    if broken is not None:
        return f"to find the release that broke it and a fix: python -m matrix blame '{broken.now.record.cell}'"
    return "to measure then as well: --resolution both" if any(side.then is None for side in report.sides) else ""


def _advice(results: list[CellResult]) -> list[Text]:
    """Explain each reason once, with its remedies."""
    lines: list[Text] = []
    seen: dict[str, list[CellResult]] = {}
    for result in results:
        if result.finding.reason:
            seen.setdefault(result.finding.reason, []).append(result)
    for reason, cells in sorted(seen.items(), key=lambda item: -len(item[1])):
        judgement = cells[0].judgement
        line = Text.assemble(
            (f"{reason}", "bold"), f" ({words.counted(len(cells), 'cell')}): {judgement.finding.title}"
        )
        if judgement.finding.said:
            line.append(f"\n    message: {judgement.finding.said}", style="dim")
        for remedy in judgement.remedies[:3]:
            line.append(f"\n    → {remedy.text}", style="cyan")
        for trial, times in Counter(_tried(trial) for cell in cells for trial in cell.tried).most_common(_MOST_TRIALS):
            line.append(f"\n    tried: {trial}" + (f" ({times} times)" if times > 1 else ""), style="dim")
        lines.append(line)
    remarks = Counter(remark for result in results for remark in words.remarks(result))
    for remark, times in remarks.most_common():
        lines.append(Text.assemble((remark, "bold"), f" (remark on {times}): {words.REMARKS.get(remark, remark)}"))
    for result in results:
        if result.divergence is not None:
            lines.append(Text.assemble((result.record.cell, "bold"), f": {result.divergence.words}"))
    releases = {result.release.version: result.release for result in results if result.release is not None}
    known = "; ".join(
        f"onnx {release.version}: IR {release.ir}, opset {release.opset}"
        for release in sorted(releases.values(), key=lambda release: Version(release.version))
    )
    if known:
        lines.append(Text.assemble(("highest supported: ", "bold"), known))
    return [*lines, Text("")] if lines else []


def _tried(trial: CellResult) -> str:
    """Return `opset 13→11: match`, or the reason of the failure."""
    found = trial.finding
    return f"{words.changes(trial)}: {found.verdict if found.good else found.reason or found.verdict}"


def _closing(report: RunReport, results: list[CellResult]) -> Text:
    text = Text()
    # A cell of another time has no lock file.
    best = [r for r in results if r.finding.verdict == "match" and r.record.cell_id.moved is None]
    if best:
        newest = best[-1]
        text.append("Works, for example: ", style="bold")
        if newest.record.cell_id.has_exporter:
            text.append(f"torch=={newest.record.torch} with opset {newest.opset_written}, then ")
        text.append(
            f"on Python {newest.python}: {words.pins(newest)}; full pins: envs/{newest.record.converter}.lock\n"
        )
    text.append(f"{words.summary(results)} of {report.planned} cells; ")
    text.append(f"jobs: {report.jobs_run} run, {report.jobs_cached} cached; run {report.run} ({report.status})")
    unknown, failed = words.unmatched(results)
    if failed:
        recognised = f"{failed - unknown} of" if unknown or failed == 1 else "all"
        text.append(f"\n{recognised} {words.counted(failed, 'failure')} recognised")
    for cell, complaints in report.complaints.items():
        text.append(f"\nunexpected: {cell}: {'; '.join(complaints)}", style="red")
    if len(results) < report.planned:
        left = f"\n{report.planned - len(results)} cells"
        if report.shards and report.status == "complete":
            text.append(f"{left} belong to other shards")
        else:
            text.append(f"{left} were not reached; run the same command to continue")
    if results:
        text.append("\ndetails of one cell: python -m matrix show CELL, for example ", style="dim")
        example = next((r for r in results if r.finding.verdict != "match"), results[0])
        text.append(f"'{example.record.cell}'", style="dim")
    return text
