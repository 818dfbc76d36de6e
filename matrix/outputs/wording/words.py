"""Verdicts, reasons and results in one line, the same in every view."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from matrix.history.then_and_now import BothSides
from matrix.judging.cells import CellResult
from matrix.judging.finding import Finding
from matrix.judging.judge import REMARKS as REMARKS
from matrix.judging.judge import lite_leg
from matrix.judging.reasons import BARE
from matrix.table.ids import CellId
from matrix.table.model import Verdict

# In the order people want to read them: good, other findings, indeterminate.
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

# Never a plain match: the toolchain alone does not do it.
WITH = "match with"

ARTIFACTS = {"frozen-graph": "frozen graph", "saved-model": "SavedModel", "keras": "Keras", "tflite": "TensorFlow Lite"}

STYLES: dict[Verdict, str] = {
    "match": "bold green",
    "mismatch": "bold magenta",
    "unsupported": "yellow",
    "error": "red",
    "crash": "bold red",
    "oom": "bold red",
    "timeout": "bold red",
    "unsatisfiable": "red",
    "unavailable": "dim",
    "infra": "dim",
}


def counted(number: int, what: str) -> str:
    """Return `1 cell` or `2 cells`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def style(result: CellResult) -> str:
    """Return the style of a verdict on the terminal."""
    return STYLES[result.finding.verdict] if result.remedied is None else "green"


def opset(result: CellResult) -> str:
    """Return `9`, or `7→18` if the exporter wrote another opset than asked; of an .onnx file its own; '' if the
    converter takes the torch module."""
    asked, written = result.record.opset, result.opset_written
    if not result.record.cell_id.has_exporter:
        return str(written or "")
    return str(asked) if written in (None, asked) else f"{asked}→{written}"


def max_abs(result: CellResult) -> str:
    """Return the largest difference: of the match, changed or not, or of the comparison that failed."""
    return number((result.remedied or result).judgement.metrics.get("max_abs"))


def tflite(result: CellResult) -> str:
    """Return the largest difference on the leg to TensorFlow Lite; '' if it was not asked for or failed."""
    legs = (result.remedied or result).judgement.legs
    return number(legs.get(lite_leg(legs) or "", {}).get("max_abs"))


def artifacts(result: CellResult) -> str:
    """Return `saved-model match, tflite error` if the findings on the artifacts of the cell, or of its match with
    changes, differ; else ''."""
    found = (result.remedied or result).judgement.artifacts
    if len({finding.kind for finding in found.values()}) < 2:
        return ""
    return ", ".join(f"{kind} {finding.verdict}" for kind, finding in found.items())


def artifact(finding: Finding) -> str:
    """Describe the finding on one artifact: `match`, `error in invoke: tflite-op-missing`."""
    if finding.good:
        return finding.verdict
    place = f" in {finding.stage}" if finding.stage else ""
    return f"{finding.verdict}{place}: {finding.reason}" if finding.reason else f"{finding.verdict}{place}"


def artifact_title(kind: str) -> str:
    """Return a kind of artifact as people write it."""
    return ARTIFACTS.get(kind, kind)


def number(value: object) -> str:
    """Format a metric; '' for None."""
    return f"{value:.1e}" if isinstance(value, int | float) else ("" if value is None else str(value))


def where(result: CellResult) -> str:
    """Return `converter/check`; '' if nothing failed, or nothing does with a remedy."""
    return result.finding.where if result.remedied is None else ""


def verdict(result: CellResult) -> str:
    """Return the verdict, or `match with` if the cell fails unmodified but matches with changes."""
    return result.finding.verdict if result.remedied is None else WITH


def because(result: CellResult) -> str:
    """Return the reason; of a remedied cell the changes, and the reason why it fails without them. If the artifacts
    differ, add their verdicts."""
    reason = result.finding.reason or ""
    if result.remedied is not None:
        reason = f"{changes(result.remedied)} (without: {reason})"
    return "; ".join(part for part in (reason, artifacts(result)) if part)


def remarks(result: CellResult) -> list[str]:
    """Return the remarks on the cell and, if it matches with changes, on that match."""
    remedied = result.remedied.judgement.remarks if result.remedied is not None else ()
    return list(dict.fromkeys((*result.judgement.remarks, *remedied)))


def changes(result: CellResult) -> str:
    """Return `ir_version 10→8, onnxsim`."""
    return ", ".join(words for _, words in result.record.changes)


def summary(results: list[CellResult]) -> str:
    """Return `12 match, 2 match with a remedy, 3 error, 1 unavailable`."""
    verdicts = Counter(verdict(result) for result in results)
    named = [("match", "match"), (WITH, f"{WITH} a remedy"), *((name, name) for name in VERDICTS if name != "match")]
    return ", ".join(f"{verdicts[key]} {words}" for key, words in named if verdicts[key]) or "no cells"


def unmatched(results: list[CellResult]) -> tuple[int, int]:
    """Return how many failed cells have a reason that no signature describes, and how many failed."""
    failed = [r for r in results if not r.finding.indeterminate and r.finding.verdict not in ("match", "mismatch")]
    return sum(r.finding.reason in BARE or r.judgement.general for r in failed), len(failed)


def pins(result: CellResult) -> str:
    """Return the requirements of the converter's side, by the distributions that were measured."""
    return " ".join(
        f"{result.distributions.get(package, package)}=={version}"
        for package, version in result.versions.items()
        if version
    )


def environments(side: BothSides) -> tuple[str, str]:
    """Return the row that was moved, and the one it was measured with."""
    cell = CellId.parse(side.cell)
    exporter, converter = str(cell.exporter), str(cell.row)
    return (exporter, converter) if side.side == "exporter" else (converter, exporter)
