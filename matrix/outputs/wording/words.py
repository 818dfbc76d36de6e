"""How a verdict and its reason read in one line, the same in every view."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from matrix.judging.cells import CellResult
from matrix.judging.finding import Finding
from matrix.judging.judge import REMARKS as REMARKS
from matrix.judging.judge import lite_leg
from matrix.judging.reasons import BARE
from matrix.table.model import Verdict

# The vocabulary in the order people want to read it: good, findings, then what says nothing.
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

# Never a plain match: it needs something that its toolchain alone does not do.
WITH = "match with"

# Kinds of artifact as people write them.
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


def style(result: CellResult) -> str:
    return STYLES[result.finding.verdict] if result.remedied is None else "green"


def opset(result: CellResult) -> str:
    """`9`, or `7→18` where the exporter wrote another opset than asked; of an .onnx file the one it has, '' where the
    converter takes the torch module."""
    asked, written = result.record.opset, result.opset_written
    if not result.record.cell_id.has_exporter:
        return str(written or "")
    return str(asked) if written in (None, asked) else f"{asked}→{written}"


def max_abs(result: CellResult) -> str:
    """Of what matches, changed or not; else of the comparison that failed."""
    judged = result.remedied or result
    return number(judged.judgement.metrics.get("max_abs"))


def tflite(result: CellResult) -> str:
    """The largest difference on the leg to TensorFlow Lite, '' where that was not asked for or failed."""
    judged = result.remedied or result
    legs = judged.judgement.legs
    return number(legs.get(lite_leg(legs) or "", {}).get("max_abs"))


def artifacts(result: CellResult) -> str:
    """`saved-model match, tflite error` where the artifacts of the cell, or of its match with changes, came to
    different findings; else ''."""
    found = (result.remedied or result).judgement.artifacts
    if len({finding.kind for finding in found.values()}) < 2:
        return ""
    return ", ".join(f"{kind} {finding.verdict}" for kind, finding in found.items())


def artifact(finding: Finding) -> str:
    """The finding on one artifact: `match`, `error in invoke: tflite-op-missing`."""
    if finding.good:
        return finding.verdict
    place = f" in {finding.stage}" if finding.stage else ""
    return f"{finding.verdict}{place}: {finding.reason}" if finding.reason else f"{finding.verdict}{place}"


def artifact_title(kind: str) -> str:
    """A kind of artifact as people write it."""
    return ARTIFACTS.get(kind, kind)


def number(value: object) -> str:
    """A metric for people; '' where there is none."""
    return f"{value:.1e}" if isinstance(value, int | float) else ("" if value is None else str(value))


def where(result: CellResult) -> str:
    """`converter/check`, '' where nothing failed, or nothing does with a remedy."""
    if result.remedied is not None:
        return ""
    judgement = result.judgement
    return "/".join(part for part in (judgement.finding.role, judgement.finding.stage) if part)


def verdict(result: CellResult) -> str:
    """The verdict, or `match with` where the cell fails as it is and was seen to match with changes."""
    return result.finding.verdict if result.remedied is None else WITH


def because(result: CellResult) -> str:
    """The reason; of a remedied cell the changes, and the reason why it fails without. Where artifacts differ, what
    each came to."""
    reason = result.finding.reason or ""
    said = reason if result.remedied is None else f"{changes(result.remedied)} (without: {reason})"
    return "; ".join(part for part in (said, artifacts(result)) if part)


def remarks(result: CellResult) -> list[str]:
    """Those of the cell and, where it matches with changes, of that match."""
    remedied = result.remedied.judgement.remarks if result.remedied is not None else ()
    return list(dict.fromkeys((*result.judgement.remarks, *remedied)))


def changes(result: CellResult) -> str:
    """`ir_version 10→8, onnxsim`."""
    return ", ".join(words for _, words in result.record.changes)


def summary(results: list[CellResult]) -> str:
    """`12 match, 2 match with a remedy, 3 error, 1 unavailable`."""
    counted = Counter(verdict(result) for result in results)
    named = [("match", "match"), (WITH, f"{WITH} a remedy"), *((name, name) for name in VERDICTS if name != "match")]
    return ", ".join(f"{counted[key]} {words}" for key, words in named if counted[key]) or "no cells"


def unmatched(results: list[CellResult]) -> tuple[int, int]:
    """How many of the failed cells have a reason that nobody has described yet, and how many failed."""
    failed = [r for r in results if not r.finding.indeterminate and r.finding.verdict not in ("match", "mismatch")]
    return sum(r.finding.reason in BARE or r.judgement.general for r in failed), len(failed)


def pins(result: CellResult) -> str:
    """What a person installs for the converter's side, by the names that were measured."""
    return " ".join(
        f"{result.distributions.get(package, package)}=={version}"
        for package, version in result.versions.items()
        if version
    )
