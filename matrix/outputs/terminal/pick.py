"""Toolchains for a model, expected and verified, as text and JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from typing import Any

from rich.table import Table
from rich.text import Text

from matrix.answers.pick.choose import Picked
from matrix.answers.pick.ranking import Overall, PickRequest, Ranked
from matrix.answers.pick.search import Proof
from matrix.judging.cells import CellResult
from matrix.judging.judge import Judgement
from matrix.outputs.documents.run import cell as cell_document
from matrix.outputs.terminal.console import grid, open_console
from matrix.outputs.wording import words
from matrix.packages.versions import minor
from matrix.planning.cells import Cell

SCHEMA = 1

# So many candidates are shown.
_SHOWN = 5

_REASON = 240


def print_expected(ranked: Sequence[Ranked], stored: Set[str]) -> None:
    """Print the best candidates and their predictions. `stored` are the cells that matched in a past run."""
    table = grid(("toolchain", "python", "expected", "why"))
    for item in ranked[:_SHOWN]:
        probability = "seen to match" if item.cell.id in stored else f"{item.prediction.probability:.0%}"
        why = "; ".join([blocker.text for blocker in item.prediction.blockers] or item.prediction.basis)
        table.add_row(_toolchain(item.cell), item.cell.python, probability, why)
    open_console().print(table)


def print_overall(found: Sequence[Overall]) -> None:
    """Print the toolchains that convert the most models."""
    console = open_console()
    table = grid(("toolchain", "python", "models", "not"))
    for item in found[:_SHOWN]:
        matched = f"{len(item.matched)} of {len(item.matched) + len(item.failed)}"
        table.add_row(_toolchain(item.cell), item.cell.python, matched, ", ".join(item.failed))
    console.print(table)
    console.print("from stored evidence; with --model, pick tests your model and writes a toolchain for it")


def print_picked(picked: Picked, wanted: PickRequest, folder: str | None) -> None:
    """Print what ran, then the toolchain or why there is none."""
    console = open_console()
    if picked.results:
        console.print(_table(picked.results))
        console.print()
    for line in _reasons(picked.results):
        console.print(line)
    for row, why in picked.made.items():
        if why:
            console.print(Text.assemble((row, "bold"), f", a derived row, cannot be installed: {_why_not(why)}"))
    if picked.given_up:
        asked = " and ".join(map(str, wanted.constraints))
        console.print(Text.assemble(("Nothing satisfies ", "bold"), asked, ".", style="yellow"))
        lost = " and ".join(map(str, picked.given_up))
        console.print(Text(f"Without {lost}, this works (verified):", style="yellow"))
    for proof in picked.proofs:
        console.print(_proof(proof))
    if 0 < len(picked.proofs) < wanted.prove:
        console.print(f"only {len(picked.proofs)} of the {wanted.prove} toolchains asked for")
    if not picked.proofs:
        console.print(Text("No toolchain was verified.", style="bold red"))
    candidates = words.counted(len(picked.ranked), "candidate toolchain")
    console.print(f"{words.counted(picked.conversions, 'conversion')}; considered {candidates}")
    if folder is not None:
        console.print(f"wrote {folder}/. Start with {folder}/EVIDENCE.md")


def document(picked: Picked, wanted: PickRequest, folder: str | None) -> dict[str, Any]:
    """Return the result as JSON-ready data. Keys may be added, never renamed."""
    return {
        "schema": SCHEMA,
        "model": wanted.model.id,
        "constraints": {item.name: str(item.versions) for item in wanted.constraints},
        "prefer": wanted.prefer,
        "given_up": {item.name: str(item.versions) for item in picked.given_up},
        "made": picked.made,
        "conversions": picked.conversions,
        "candidates": len(picked.ranked),
        "expected": [expected(item) for item in picked.ranked[:_SHOWN]],
        "tried": [cell_document(result) for result in picked.results],
        "proven": [
            {
                "cell": proof.cell.id,
                "changes": [step.words for step in proof.cell.changes],
                **cell_document(proof.result),
            }
            for proof in picked.proofs
        ],
        "folder": folder,
    }


def expected(item: Ranked) -> dict[str, Any]:
    """Return a candidate as JSON-ready data."""
    return {
        "cell": item.cell.id,
        "probability": round(item.prediction.probability, 3),
        "blockers": [blocker.text for blocker in item.prediction.blockers],
        "basis": list(item.prediction.basis),
    }


def overall_document(found: Sequence[Overall]) -> dict[str, Any]:
    """Return toolchains and the models they convert as JSON-ready data. Keys may be added, never renamed."""
    return {
        "schema": SCHEMA,
        "toolchains": [
            {
                "exporter": item.cell.exporter.id,
                "opset": item.cell.opset,
                "converter": item.cell.converter.id,
                "python": item.cell.python,
                "matched": list(item.matched),
                "failed": list(item.failed),
            }
            for item in found
        ],
    }


def _toolchain(cell: Cell) -> str:
    """Return the requirements in one line."""
    pins = " ".join(f"{package}=={version}" for package, version in cell.converter.pins.items())
    return f"torch=={cell.exporter.torch} opset {cell.opset}, {pins}" if cell.exporter.writes else pins


def _table(results: Sequence[CellResult]) -> Table:
    table = grid(("tried", "verdict", "where", "reason", "max abs"))
    for result in results:
        for shown in (result, *result.tried):
            table.add_row(
                shown.record.cell,
                Text(shown.finding.verdict, style=words.STYLES[shown.finding.verdict]),
                shown.finding.where,
                shown.finding.reason or "",
                words.number(shown.judgement.metrics.get("max_abs")),
            )
    return table


def _reasons(results: Sequence[CellResult]) -> Iterator[Text]:
    seen: dict[str, Judgement] = {}
    for result in results:
        if result.finding.reason and result.finding.verdict != "match":
            seen.setdefault(result.finding.reason, result.judgement)
    for reason, judgement in seen.items():
        line = Text.assemble((reason, "bold"), f": {judgement.finding.title}")
        for remedy in judgement.remedies[:2]:
            line.append(f"\n    → {remedy.text}", style="cyan")
        yield line


def _proof(proof: Proof) -> Text:
    cell, result = proof.cell, proof.result
    exported = ""
    if cell.exporter.writes:
        exported = f"torch=={cell.exporter.torch} ({cell.exporter.via}) at opset {cell.opset} on Python "
        exported += f"{minor(result.export.python)}, then "
    text = Text.assemble(("Verified: ", "bold green"), exported, f"{words.pins(result)} on Python {result.python}")
    if cell.changes:
        text.append(f"\n    with {', '.join(step.words for step in cell.changes)}")
    text.append(f"\n    the numbers match, largest difference {words.max_abs(result)}")
    if lite := words.tflite(result):
        text.append(f"; those of TensorFlow Lite match too, {lite}")
    return text


def _why_not(text: str) -> str:
    """Return the beginning of a resolver's explanation, without its boxes and line breaks."""
    line = " ".join(re.sub(r"[│╰─▶×]", " ", text).split())
    start = max(line.find("Because"), 0)
    return line[start : start + _REASON] + ("…" if len(line) > start + _REASON else "")
