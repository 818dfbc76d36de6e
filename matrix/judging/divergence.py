"""Where a conversion first computes other numbers than the ONNX file means: the node to look at. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matrix.judging.compare import Comparison, compare
from matrix.judging.tensors import Array, Arrays, NotComparable, dtype_name, wide
from matrix.judging.tolerance import KIND_OF_DTYPE, Tolerance, Tolerances
from matrix.table.ids import ArrayKey


@dataclass(frozen=True)
class Node:
    """A node of an ONNX graph, as the job `expose` tells of it; ``inputs`` and ``outputs`` are tensor names."""

    index: int
    name: str
    operator: str
    domain: str
    opset: int | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, fact: Mapping[str, Any]) -> Node:
        """From one entry of the fact ``nodes``; ``ValueError`` where it is not one: facts come out of the cage."""
        try:
            opset = fact["opset"]
            return cls(
                index=int(fact["index"]),
                name=str(fact["name"]),
                operator=str(fact["operator"]),
                domain=str(fact["domain"]),
                opset=None if opset is None else int(opset),
                inputs=tuple(map(str, fact["inputs"])),
                outputs=tuple(map(str, fact["outputs"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no description of a node: {fact!r}") from error


@dataclass(frozen=True)
class Divergence:
    """The node at which both sides part.

    ``output`` is the tensor of it that differs, ``reason`` and ``detail`` as in `compare.Comparison`,
    ``max_abs`` in the unit of the tensor, ``tightest`` as in `metrics.Metrics` under the tolerance described
    at `tolerance_inside`. ``unseen`` are inputs of the node that could not be compared: where there are any,
    the fault may lie before it. ``skipped`` counts all tensors of the model that could not be compared.
    """

    node: Node
    output: str
    reason: str
    detail: str
    max_abs: float | None
    tightest: float | None
    unseen: tuple[str, ...]
    skipped: int

    @property
    def words(self) -> str:
        node = self.node
        domain = f"{node.domain}." if node.domain not in ("", "ai.onnx") else ""
        name = f" {node.name}" if node.name else ""
        opset = f", opset {node.opset}" if node.opset is not None else ""
        doubt = f" What goes into it was not seen on both sides: {', '.join(self.unseen)}." if self.unseen else ""
        return f"First to differ is node {node.index}, {domain}{node.operator}{name}{opset}. {self.detail}{doubt}"


def first_divergence(
    nodes: Sequence[Node],
    reference: Arrays,
    actual: Arrays,
    tolerances: Tolerances | None = None,
    outputs: Sequence[str] = (),
) -> Divergence | None:
    """The first node, in the order given (topological), that makes other numbers out of the same ones.

    Keys of the arrays are ``<case>/<tensor name>``, of one case. With ``outputs``, the names of the model's
    outputs, a difference counts only where a chain of differing tensors leads from it to one of them: what
    heals on the way, as a negative number before a Relu, explains no wrong output.

    A difference of dtype alone (int32 for int64, with the same numbers) counts only where no numbers differ.
    A node whose inputs were all compared goes before one with an input that one side lacks. None where nothing
    differs: then the outputs' difference is rounding that grew along the way, or not there in this case.
    """
    tolerances = tolerances or Tolerances()
    left, right = _by_tensor(reference), _by_tensor(actual)
    made = [name for node in nodes for name in node.outputs]
    numbers: dict[str, Comparison] = {}
    dtypes: dict[str, Comparison] = {}
    unseen = set(made) - (left.keys() & right.keys())
    for name in made:
        if name in unseen:
            continue
        try:
            numbers[name], dtypes[name] = _compared(name, left[name], right[name], tolerances)
        except NotComparable:
            unseen.add(name)
    for found in (numbers, dtypes):
        wrong = {name: comparison for name, comparison in found.items() if not comparison.match}
        if divergence := _culprit(nodes, wrong, unseen, outputs):
            return divergence
    return None


def tolerance_inside(reference: Array, tolerance: Tolerance) -> Tolerance:
    """The tolerance for a tensor inside a model: ``atol`` is at least ``rtol`` times the tensor's root mean square.

    Sums and differences inside a network pass through 0, where rounding is of the size of what was added, not
    of what is left; a bound relative to each element would blame the first such node of a faithful conversion.
    Measured on faithful ones (onnx-tf 1.3.0 to 1.10.0, the hair network): at most 1.2e-5 of the root mean
    square; a wrong attribute or weight moves a tensor by percents.
    """
    values = np.abs(wide(reference))
    values = values[np.isfinite(values)]
    largest = float(values.max(initial=0.0))
    if largest == 0 or tolerance.rtol == 0:
        return tolerance
    rms = largest * float(np.sqrt(np.mean(np.square(values / largest))))  # squares of the values may overflow
    return Tolerance(tolerance.rtol, max(tolerance.atol, tolerance.rtol * rms))


def _by_tensor(arrays: Arrays) -> dict[str, Array]:
    return {ArrayKey.parse(key).name: array for key, array in arrays.items()}


def _compared(name: str, reference: Array, actual: Array, tolerances: Tolerances) -> tuple[Comparison, Comparison]:
    """By numbers alone, and with the dtype."""
    expected, found = dtype_name(name, reference), dtype_name(name, actual)
    inside = tolerances.override({KIND_OF_DTYPE[expected]: tolerance_inside(reference, tolerances.of(expected))})
    strict = compare({name: reference}, {name: actual}, inside)
    if "bfloat16" in (expected, found) or expected == found:  # bfloat16 is no dtype that numpy can convert to
        return strict, strict
    with np.errstate(invalid="ignore", over="ignore"):
        return compare({name: reference}, {name: actual.astype(reference.dtype)}, inside), strict


def _culprit(
    nodes: Sequence[Node], wrong: Mapping[str, Comparison], unseen: set[str], outputs: Sequence[str]
) -> Divergence | None:
    reached = _leading_to(nodes, [name for name in outputs if name in wrong], wrong.keys() | unseen)
    wanted = reached if outputs else set(wrong)
    candidates = [node for node in nodes if any(name in wrong and name in wanted for name in node.outputs)]
    if not candidates:
        return None
    # Of equals, min takes the first. The first candidate has no wrong input, or its maker would come before it.
    clean = [node for node in candidates if not any(name in wrong for name in node.inputs)]
    node = min(clean or candidates, key=lambda node: any(name in unseen for name in node.inputs))
    output = next(name for name in node.outputs if name in wrong and name in wanted)
    comparison = wrong[output]
    return Divergence(
        node=node,
        output=output,
        reason=comparison.reason or "",
        detail=comparison.detail,
        max_abs=comparison.metrics.max_abs,
        tightest=comparison.metrics.tightest,
        unseen=tuple(name for name in node.inputs if name in unseen),
        skipped=len(unseen),
    )


def _leading_to(nodes: Sequence[Node], outputs: Sequence[str], suspects: set[str]) -> set[str]:
    """The suspects from which a chain of suspects leads to one of the outputs, these included."""
    reached = set(outputs)
    for node in reversed(nodes):
        if reached.intersection(node.outputs):
            reached.update(name for name in node.inputs if name in suspects)
    return reached
