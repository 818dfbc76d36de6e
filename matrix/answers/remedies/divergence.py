"""Which cells to look into for the node at which the numbers part. Pure."""

from __future__ import annotations

from dataclasses import replace

from matrix.judging.cells import CellResult
from matrix.planning.cells import Cell
from matrix.table.ids import ArrayKey


def to_locate(cell: Cell, result: CellResult) -> Cell | None:
    """The cell, to be run with its intermediate tensors exposed, in the case that came out worst; None where there is
    nothing to find: only between ONNX Runtime and the converted model in memory do both sides have the same nodes."""
    judgement, made = result.judgement, result.family
    wrong = judgement.finding.verdict == "mismatch" and judgement.leg == made.scheme.converter_leg
    if not wrong or "trace" not in made.capabilities or result.divergence is not None:
        return None
    case = ArrayKey.parse(judgement.worst or "").case
    return replace(cell, base=cell.id, locate=int(case) if case.isdigit() else 0)
