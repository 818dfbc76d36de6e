"""What `pick` found, for people and as data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from matrix.answers.pick.choose import Picked
from matrix.answers.pick.ranking import PickRequest
from matrix.answers.pick.search import Proof
from matrix.judging.cells import CellResult
from matrix.judging.judge import Judgement
from matrix.outputs.documents.run import cell as cell_document
from matrix.outputs.terminal.expected import SHOWN, console_for_output, expected
from matrix.outputs.wording import words

SCHEMA = 1

_REASON = 240


def print_picked(picked: Picked, wanted: PickRequest, folder: str | None) -> None:
    """To standard output: what ran, then the toolchain, or why there is none."""
    console = console_for_output()
    if picked.results:
        console.print(_table(picked.results))
        console.print()
    for line in _reasons(picked.results):
        console.print(line)
    for row, why in picked.made.items():
        if why:
            console.print(Text.assemble((row, "bold"), f", made on the spot: no packages fulfil it: {_why_not(why)}"))
    if picked.given_up:
        asked = " and ".join(map(str, wanted.constraints))
        console.print(Text.assemble(("Nothing satisfies ", "bold"), asked, ".", style="yellow"))
        lost = " and ".join(map(str, picked.given_up))
        console.print(Text(f"The smallest thing to give up: {lost}. Then this does, and was proven:", style="yellow"))
    for proof in picked.proofs:
        console.print(_proof(proof))
    if 0 < len(picked.proofs) < wanted.prove:
        console.print(f"no more than {len(picked.proofs)} of the {wanted.prove} asked for")
    if not picked.proofs:
        console.print(Text("No toolchain was proven.", style="bold red"))
    runs = f"{picked.conversions} conversion{'' if picked.conversions == 1 else 's'}"
    console.print(f"{runs}; {len(picked.ranked)} toolchains of the table came into question")
    if folder is not None:
        console.print(f"handed over in {folder}: begin with {folder}/EVIDENCE.md")


def document(picked: Picked, wanted: PickRequest, folder: str | None) -> dict[str, Any]:
    """As JSON-ready data. Keys may be added, never renamed."""
    return {
        "schema": SCHEMA,
        "model": wanted.model.id,
        "constraints": {item.name: str(item.versions) for item in wanted.constraints},
        "prefer": wanted.prefer,
        "given_up": {item.name: str(item.versions) for item in picked.given_up},
        "made": picked.made,
        "conversions": picked.conversions,
        "candidates": len(picked.ranked),
        "expected": [expected(item) for item in picked.ranked[:SHOWN]],
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


def _table(results: Sequence[CellResult]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("tried", "verdict", "where", "reason", "max abs"):
        table.add_column(name, overflow="fold")
    for result in results:
        for shown in (result, *result.tried):
            table.add_row(
                shown.record.cell,
                Text(shown.finding.verdict, style=words.STYLES[shown.finding.verdict]),
                "/".join(part for part in (shown.finding.role, shown.finding.stage) if part),
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
        exported += f"{_minor(result.export.python)}, then "
    text = Text.assemble(("Proven: ", "bold green"), exported, f"{words.pins(result)} on Python {result.python}")
    if cell.changes:
        text.append(f"\n    with {', '.join(step.words for step in cell.changes)}")
    text.append(f"\n    the numbers match, largest difference {words.max_abs(result)}")
    if lite := words.tflite(result):
        text.append(f"; so do those of TensorFlow Lite, {lite}")
    return text


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])


def _why_not(text: str) -> str:
    """Of a resolver's explanation, which has boxes and wraps as it pleases, the beginning of what it says."""
    words = " ".join(re.sub(r"[│╰─▶×]", " ", text).split())
    start = max(words.find("Because"), 0)
    return words[start : start + _REASON] + ("…" if len(words) > start + _REASON else "")
