"""How a verdict and its reason read in one line, the same in every view."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from matrix.config.model import Verdict
from matrix.results import CellResult
from matrix.verdicts.remarks import REMARKS as REMARKS

# The vocabulary in the order people want to read it: good, findings, then what says nothing.
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

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


def opset(result: CellResult) -> str:
    """`9`, or `7→18` where the exporter wrote another opset than asked."""
    asked, written = result.record.opset, result.opset_written
    return str(asked) if written in (None, asked) else f"{asked}→{written}"


def number(value: object) -> str:
    """A metric for people; '' where there is none."""
    return f"{value:.1e}" if isinstance(value, int | float) else ("" if value is None else str(value))


def where(result: CellResult) -> str:
    """`converter/check`, '' where nothing failed."""
    judgement = result.judgement
    return "/".join(part for part in (judgement.role, judgement.stage) if part)


def summary(results: list[CellResult]) -> str:
    """`12 match, 3 error, 1 unavailable`."""
    counted = Counter(result.judgement.verdict for result in results)
    return ", ".join(f"{counted[verdict]} {verdict}" for verdict in VERDICTS if counted[verdict]) or "no cells"


def pins(result: CellResult) -> str:
    """What a person installs for the converter's side, by the names that were measured."""
    return " ".join(
        f"{result.distributions.get(package, package)}=={version}"
        for package, version in result.versions.items()
        if version
    )
