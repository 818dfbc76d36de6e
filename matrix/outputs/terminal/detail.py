"""One cell in full, for the person who has to fix it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.families import Family
from matrix.judging.cells import CellResult
from matrix.outputs.terminal.console import open_console
from matrix.outputs.wording import words
from matrix.packages.versions import minor
from matrix.store.records import Observation

_LOG_LINES = 25
# The packages that people compare first, beside those of the families; the lock has the rest.
_INTERESTING = ("keras", "numpy", "protobuf", "ml-dtypes", "onnxscript")


def print_detail(
    result: CellResult, log: Callable[[Observation], str], lock_of: Callable[[str], Path | None], command: str
) -> None:
    """Print to standard output. `log` gives the log of an observation, `lock_of` the lock file of an environment;
    `command` is the command that ran the cell."""
    console = open_console(140)
    judgement = result.judgement
    verdict = Text(judgement.finding.verdict, style=words.STYLES[judgement.finding.verdict])
    if result.remedied is not None:
        verdict.append(f"; match with: {words.changes(result.remedied)}", style="green")
    console.print(Text.assemble((result.record.cell, "bold"), ": ", verdict))
    if judgement.finding.title:
        place = f"{words.where(result)}: " if words.where(result) else ""
        console.print(Text(f"{place}{judgement.finding.reason}: {judgement.finding.title}"))
    if judgement.cause:
        console.print(Text(f"why: {judgement.cause}"))
    for remedy in judgement.remedies:
        console.print(Text(f"  → {remedy.text}  [{remedy.id}]", style="cyan"))
    for remark in words.remarks(result):
        console.print(Text(f"remark: {remark}: {words.REMARKS.get(remark, remark)}"))
    for kind, finding in judgement.artifacts.items():
        title = f": {finding.title}" if finding.title and finding.kind != judgement.finding.kind else ""
        console.print(Text(f"{kind}: {words.artifact(finding)}{title}", style=words.STYLES[finding.verdict]))
    opset = words.opset(result)
    console.print(Text(f"{f'opset: {opset}; ' if opset else ''}judged on run data, cached: {result.cached}"))
    if result.release is not None:
        known = result.release
        console.print(Text(f"onnx {known.version} supports up to IR {known.ir} and opset {known.opset}"))
    if result.divergence is not None:
        console.print(Text(result.divergence.words, style="bold"))
    for trial in result.tried:
        found = trial.finding
        failed = "" if found.good else f" in {words.where(trial)}: {found.title}"
        console.print(Text(f"tried {words.changes(trial)}: {found.verdict}{failed}"))
    _legs(console, result)
    for observation in (result.export, result.reference, result.convert):
        if observation is not None:
            _observation(console, observation, result.family)
    _tail(console, result, log)
    _reproduce(console, result, lock_of, command)


def _legs(console: Console, result: CellResult) -> None:
    if not result.judgement.legs:
        return
    grid = Table("leg", "max abs", "max rel", "mean abs", "rmse", "cosine", "SNR dB", "outside", "margin", box=None)
    for name, metrics in result.judgement.legs.items():
        grid.add_row(
            name,
            *(words.number(metrics.get(key)) for key in ("max_abs", "max_rel", "mean_abs", "rmse")),
            f"{value:.6g}" if isinstance(value := metrics.get("cosine"), float) else str(value),
            f"{value:.1f}" if isinstance(value := metrics.get("snr_db"), float) else str(value),
            *(words.number(metrics.get(key)) for key in ("mismatch_share", "margin")),
        )
    console.print(grid)


def _observation(console: Console, observation: Observation, family: Family) -> None:
    console.print(Text(f"\n{observation.role} {observation.environment} (Python {observation.python})", style="bold"))
    if observation.obstacle:
        console.print(Text(f"  stopped at {observation.obstacle.stage}: {observation.obstacle.kind}"))
    for record in observation.passes:
        stages = (record.result or {}).get("stages", [])
        line = "  ".join(f"{s['stage']} {s['status']} {_seconds(s.get('seconds'))}".rstrip() for s in stages)
        ended = "" if record.exit is None else f"  [worker ended: {record.exit}]"
        console.print(Text(f"  {record.name}: {line or 'no result file'}{ended}"))
    wanted = [name for name in _interesting(family) if name in observation.installed]
    installed = [f"{name} {observation.installed[name]}" for name in wanted]
    console.print(Text(f"  installed: {', '.join(installed)}"))


def _interesting(family: Family) -> tuple[str, ...]:
    """Return the packages that people compare first: those that write and read the file, then those that name the
    row or may be installed in their place."""
    packages = [name for name in family.packages if name != family.reads]
    before, after = packages[:1], packages[1:]
    named = [name for package in after for name in (package, *family.replaces.get(package, ()))]
    first = ("torch", *([family.reads] if family.reads else []), *before, "onnxruntime", *named, *family.related)
    return tuple(dict.fromkeys((*first, *_INTERESTING)))


def _seconds(value: object) -> str:
    return f"{value:.1f}s" if isinstance(value, int | float) and value >= 0.05 else ""


def _tail(console: Console, result: CellResult, log: Callable[[Observation], str]) -> None:
    # The reference environment checks a user's file and runs it; the verdict is about the later observation.
    parts = (result.convert, result.reference, result.export)
    culprit = next((part for part in parts if part is not None and part.role == result.finding.role), None)
    if culprit is None or result.finding.verdict == "match":
        return
    lines: list[str] = []
    if culprit.obstacle:
        lines = culprit.obstacle.text.splitlines()
    for record in culprit.passes:
        error = (record.result or {}).get("error")
        if error:
            lines = str(error.get("traceback", "")).splitlines()
    if not lines:
        lines = log(culprit).splitlines()
    if lines:
        console.print(Text(f"\nlast lines of the {culprit.role}:", style="bold"))
        console.print(Text("\n".join(f"  {line}" for line in lines[-_LOG_LINES:])))


def _reproduce(console: Console, result: CellResult, lock_of: Callable[[str], Path | None], command: str) -> None:
    console.print(Text("\nreproduce", style="bold"))
    moved = result.record.cell_id.moved
    observation = result.export if moved == "exporter" else result.convert or result.export
    lock = lock_of(observation.environment)
    if moved is None:
        only = shlex.quote(f"cell={result.record.cell}")
        console.print(Text(f"  {command} --only {only} --again"))
    elif observation.installed:
        # The index of that day is gone, but the list of packages is known.
        lock = Path("env.lock")
        console.print(Text(f"  python -m matrix show {shlex.quote(result.record.cell)} --lock > {lock}"))
    if lock is not None and (observation.obstacle is None or observation.obstacle.stage != "lock"):
        console.print(Text("  or only its environment:"))
        python, file = minor(observation.python), shlex.quote(str(lock))
        install = "uv pip install --python env/bin/python --no-deps --require-hashes -r"
        console.print(Text(f"  uv venv --python {python} env && {install} {file}"))
