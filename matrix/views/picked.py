"""What `pick` found, for people and as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.pick.choose import Picked, Wanted
from matrix.pick.overall import Overall
from matrix.pick.ranking import Ranked
from matrix.pick.search import Proof
from matrix.planning.cells import Cell
from matrix.results import CellResult
from matrix.verdicts.judge import Judgement
from matrix.views import words
from matrix.views.document import cell as cell_document

SCHEMA = 1

# Of what was expected, as many lines as fit into one look.
_SHOWN = 5

_PIPE_WIDTH = 160


def print_picked(picked: Picked, wanted: Wanted, folder: str | None) -> None:
    """To standard output: what ran, then the toolchain, or why there is none."""
    console = _console()
    if picked.results:
        console.print(_table(picked.results))
        console.print()
    for line in _reasons(picked.results):
        console.print(line)
    for row, why in picked.made.items():
        if why:
            console.print(Text.assemble((row, "bold"), f", made on the spot: {_first(why)}"))
    if picked.given_up:
        asked = " and ".join(map(str, wanted.constraints))
        console.print(Text.assemble(("Nothing satisfies ", "bold"), asked, ".", style="yellow"))
        lost = " and ".join(map(str, picked.given_up))
        console.print(Text(f"The smallest thing to give up: {lost}. Then this does, and was proven:", style="yellow"))
    for proof in picked.proofs:
        console.print(_proof(proof))
    if not picked.proofs:
        console.print(Text("No toolchain was proven.", style="bold red"))
    runs = f"{picked.conversions} conversion{'' if picked.conversions == 1 else 's'}"
    console.print(f"{runs}; {len(picked.ranked)} toolchains came into question")
    if folder is not None:
        console.print(f"handed over in {folder}: begin with {folder}/EVIDENCE.md")


def print_expected(ranked: Sequence[Ranked], stored: Set[str]) -> None:
    """Without running anything: the best candidates and what is expected of them. `stored` are the cells that a past
    run saw to match."""
    console = _console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("toolchain", "python", "expected", "why"):
        table.add_column(name, overflow="fold")
    for item in ranked[:_SHOWN]:
        seen = item.cell.id in stored
        expected = "seen to match" if seen else f"{item.prediction.probability:.0%}"
        table.add_row(toolchain(item.cell), item.cell.python, expected, _why(item))
    console.print(table)


def toolchain(cell: Cell) -> str:
    """What a person installs, in one line."""
    pins = " ".join(f"{package}=={version}" for package, version in cell.converter.pins.items())
    return pins if cell.exporter.via == "file" else f"torch=={cell.exporter.torch} opset {cell.opset}, {pins}"


def document(picked: Picked, wanted: Wanted, folder: str | None) -> dict[str, Any]:
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
    return {
        "cell": item.cell.id,
        "probability": round(item.prediction.probability, 3),
        "blockers": [blocker.text for blocker in item.prediction.blockers],
        "basis": list(item.prediction.basis),
    }


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=_PIPE_WIDTH, no_color=True, highlight=False)


def _table(results: Sequence[CellResult]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("tried", "verdict", "where", "reason", "max abs"):
        table.add_column(name, overflow="fold")
    for result in results:
        for shown in (result, *result.tried):
            table.add_row(
                shown.record.cell,
                Text(shown.judgement.verdict, style=words.STYLES[shown.judgement.verdict]),
                "/".join(part for part in (shown.judgement.role, shown.judgement.stage) if part),
                shown.judgement.reason or "",
                words.number(shown.judgement.metrics.get("max_abs")),
            )
    return table


def _reasons(results: Sequence[CellResult]) -> Iterator[Text]:
    seen: dict[str, Judgement] = {}
    for result in results:
        if result.judgement.reason and result.judgement.verdict != "match":
            seen.setdefault(result.judgement.reason, result.judgement)
    for reason, judgement in seen.items():
        line = Text.assemble((reason, "bold"), f": {judgement.title}")
        for remedy in judgement.remedies[:2]:
            line.append(f"\n    → {remedy.text}", style="cyan")
        yield line


def _proof(proof: Proof) -> Text:
    cell, result = proof.cell, proof.result
    exported = ""
    if cell.exporter.via != "file":
        exported = f"torch=={cell.exporter.torch} ({cell.exporter.via}) at opset {cell.opset} on Python "
        exported += f"{_minor(result.export.python)}, then "
    text = Text.assemble(("Proven: ", "bold green"), exported, f"{words.pins(result)} on Python {result.python}")
    if cell.changes:
        text.append(f"\n    with {', '.join(step.words for step in cell.changes)}")
    return text.append(f"\n    the numbers match, largest difference {words.max_abs(result)}")


def _why(item: Ranked) -> str:
    prediction = item.prediction
    return "; ".join([blocker.text for blocker in prediction.blockers] or prediction.basis)


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])


def _first(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), text)


def print_overall(found: Sequence[Overall]) -> None:
    """Toolchains by how many models they carried."""
    console = _console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("toolchain", "python", "models", "not"):
        table.add_column(name, overflow="fold")
    for item in found[:_SHOWN]:
        carried = f"{len(item.matched)} of {len(item.matched) + len(item.failed)}"
        table.add_row(toolchain(item.cell), item.cell.python, carried, ", ".join(item.failed))
    console.print(table)
    console.print("from stored evidence; with --model yours is tried and the toolchain handed over")


def overall_document(found: Sequence[Overall]) -> dict[str, Any]:
    """As JSON-ready data. Keys may be added, never renamed."""
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
