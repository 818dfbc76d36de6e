"""The table on the terminal, and under it what to do about it."""

from __future__ import annotations

from collections import Counter

from packaging.version import Version
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from matrix.history.report import RunReport
from matrix.judging.cells import CellResult
from matrix.outputs.wording import sides, words
from matrix.outputs.wording.columns import columns as package_columns
from matrix.outputs.wording.columns import families_of, versions

# Not a terminal: a log, a pipe. Wide enough that no column is cut.
_PIPE_WIDTH = 180

# Of what a search tried for one reason: the rest is in `show` and in the JSON.
_MOST_TRIALS = 4

# On a narrower terminal lines wrap: better than columns that vanish.
_LEAST_WIDTH = 120


def print_report(report: RunReport, console: Console | None = None) -> None:
    """Print to standard output."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH, no_color=True, highlight=False)
    elif console.width < _LEAST_WIDTH:
        console = Console(width=_LEAST_WIDTH)
    results = list(report.results)
    of_now = {side.now.record.cell for side in report.sides}
    plain = [result for result in results if result.record.cell not in of_now]
    tables: list[RenderableType] = [_table(plain, report), Text("")] if plain or not of_now else []
    if of_now:
        tables += [sides.table(report), Text("")]
    console.print(Group(*tables, *_advice(results), _closing(report, results)))
    for name, why in report.unresolved.items():
        console.print(Text(f"not resolved: {name}: {why}", style="dim"), soft_wrap=True)
    if report.drift_text:
        console.print(Text(f"\n{report.drift_text}"), soft_wrap=True)


def _table(results: list[CellResult], report: RunReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    several_models = len({result.record.model for result in results}) > 1
    families = families_of(results)
    packages = package_columns(families)
    columns = ["exporter", "opset", "python", *(["family"] if len(families) > 1 else [])]
    columns += [*(package.name for package in packages), "verdict", "where", "reason", "max abs"]
    # Where it was asked for: how far TensorFlow Lite is from what it was made of.
    lite = any(words.tflite(result) for result in results)
    columns += ["tflite"] if lite else []
    for name in (["model"] if several_models else []) + columns:
        table.add_column(
            name, no_wrap=name not in ("reason", "model"), justify="right" if name in ("max abs", "tflite") else "left"
        )
    for result in results:
        judgement = result.judgement
        verdict = Text(words.verdict(result), style=words.style(result))
        if report.complaints.get(result.record.cell):
            verdict.append(" !")
        table.add_row(
            *([result.record.model] if several_models else []),
            result.record.exporter,
            words.opset(result),
            result.python,
            *([result.family.name] if len(families) > 1 else []),
            *versions(packages, result.versions),
            verdict,
            words.where(result),
            Text(words.because(result), style="dim" if judgement.finding.indeterminate else ""),
            words.max_abs(result),
            *([words.tflite(result)] if lite else []),
        )
    return table


def _advice(results: list[CellResult]) -> list[Text]:
    """Each reason once, in plain words, with what would help."""
    lines: list[Text] = []
    seen: dict[str, list[CellResult]] = {}
    for result in results:
        if result.finding.reason:
            seen.setdefault(result.finding.reason, []).append(result)
    for reason, cells in sorted(seen.items(), key=lambda item: -len(item[1])):
        judgement = cells[0].judgement
        count = f"{len(cells)} cells" if len(cells) > 1 else "1 cell"
        line = Text.assemble((f"{reason}", "bold"), f" ({count}): {judgement.finding.title}")
        if judgement.finding.said:
            line.append(f"\n    said: {judgement.finding.said}", style="dim")
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
        f"{release.version} IR {release.ir}, opset {release.opset}"
        for release in sorted(releases.values(), key=lambda release: Version(release.version))
    )
    if known:
        lines.append(Text.assemble(("newest that each onnx knows: ", "bold"), known))
    return [*lines, Text("")] if lines else []


def _tried(trial: CellResult) -> str:
    """`opset 13→11: match`, or what it failed of."""
    found = trial.finding
    return f"{words.changes(trial)}: {found.verdict if found.good else found.reason or found.verdict}"


def _closing(report: RunReport, results: list[CellResult]) -> Text:
    text = Text()
    # One of another time has no lock that a file holds.
    best = [r for r in results if r.finding.verdict == "match" and r.record.cell_id.moved is None]
    if best:
        newest = best[-1]
        text.append("Works, for example: ", style="bold")
        exported = (
            f"torch=={newest.record.torch} with opset {newest.opset_written}, then "
            if newest.record.cell_id.has_exporter
            else ""
        )
        text.append(
            f"{exported}on Python {newest.python}: "
            f"{words.pins(newest)}; what goes with them is in the lock of {newest.record.converter}\n"
        )
    text.append(f"{words.summary(results)} of {report.planned} cells; ")
    text.append(f"jobs: {report.jobs_run} run, {report.jobs_cached} cached; run {report.run} ({report.status})")
    unmatched, failed = words.unmatched(results)
    if failed:
        text.append(f"\n{unmatched} of {failed} failures are of no known kind")
    for cell, complaints in report.complaints.items():
        text.append(f"\nunexpected: {cell}: {'; '.join(complaints)}", style="red")
    if len(results) < report.planned:
        left = f"\n{report.planned - len(results)} cells"
        if report.shards and report.status == "complete":
            text.append(f"{left} are those of other shards")
        else:
            text.append(f"{left} were not reached; the same command continues")
    if results:
        text.append("\nmore about a cell: python -m matrix show CELL, for example ", style="dim")
        example = next((r for r in results if r.finding.verdict != "match"), results[0])
        text.append(f"'{example.record.cell}'", style="dim")
    return text
