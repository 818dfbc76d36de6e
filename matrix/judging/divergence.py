"""Find the first node of an ONNX graph at which a conversion computes other numbers than ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from matrix.judging.arrays import read_arrays
from matrix.judging.compare import Comparison, compare
from matrix.judging.tensors import Array, Arrays, NotComparable, dtype_name, wide
from matrix.judging.tolerance import KIND_OF_DTYPE, Tolerance, Tolerances
from matrix.store import Observation
from matrix.table.ids import ArrayKey


@dataclass(frozen=True)
class Node:
    """A node of an ONNX graph, as the job `expose` reports it; ``inputs`` and ``outputs`` are tensor names."""

    index: int
    name: str
    operator: str
    domain: str
    opset: int | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, fact: Mapping[str, Any]) -> Node:
        """Read one entry of the untrusted fact ``nodes``. Raises ValueError where it does not describe a node."""
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
            raise ValueError(f"not a description of a node: {fact!r}") from error


@dataclass(frozen=True)
class Divergence:
    """The first diverging node.

    ``output`` is its tensor that differs, ``reason`` and ``detail`` are as in `compare.Comparison`, ``max_abs`` is in
    the unit of the tensor, ``tightest`` as in `metrics.Metrics` under the tolerance of `tolerance_inside`. ``unseen``
    are inputs of the node that could not be compared: where there are any, the fault may lie before it. ``skipped``
    counts all tensors of the model that could not be compared.
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
        doubt = f" These inputs of it could not be compared: {', '.join(self.unseen)}." if self.unseen else ""
        return f"The first node to differ is {node.index}, {domain}{node.operator}{name}{opset}. {self.detail}{doubt}"


def first_divergence(
    nodes: Sequence[Node],
    reference: Arrays,
    actual: Arrays,
    tolerances: Tolerances | None = None,
    outputs: Sequence[str] = (),
) -> Divergence | None:
    """Return the first node, in the order given (topological), whose outputs differ although its inputs agree.

    Keys of the arrays are ``<case>/<tensor name>``, of one case. With ``outputs``, the names of the model's outputs, a
    difference counts only where a chain of differing tensors leads from it to one of them: one that disappears on the
    way, such as a negative number before a Relu, does not explain a wrong output.

    A difference of dtype alone (int32 for int64, with the same numbers) counts only where no numbers differ. A node
    whose inputs were all compared goes before one with an input that one side lacks. None where nothing differs: then
    the outputs differ by accumulated rounding, or not in this case.
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
    """Return the tolerance for a tensor inside a model: ``atol`` is at least ``rtol`` times its root mean square.

    Sums inside a network may be close to 0, where the rounding error is in proportion to the summands, not to the sum;
    a bound relative to each element would blame the first such node of a faithful conversion. Measured on faithful
    ones (onnx-tf 1.3.0 to 1.10.0, the hair network): at most 1.2e-5 of the root mean square; a wrong attribute or
    weight moves a tensor by percents.
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
    """Compare by numbers alone, and with the dtype."""
    expected, found = dtype_name(name, reference), dtype_name(name, actual)
    inside = tolerances.override({KIND_OF_DTYPE[expected]: tolerance_inside(reference, tolerances.of(expected))})
    strict = compare({name: reference}, {name: actual}, inside)
    if "bfloat16" in (expected, found) or expected == found:  # numpy cannot convert to bfloat16
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
    # Of equals, min takes the first. The first candidate has no wrong input, or the node that made it would be first.
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
    """Return the suspects from which a chain of suspects leads to one of the outputs, including these."""
    reached = set(outputs)
    for node in reversed(nodes):
        if reached.intersection(node.outputs):
            reached.update(name for name in node.inputs if name in suspects)
    return reached


@dataclass(frozen=True)
class Located:
    """The first diverging node and one sentence about it; None, and why, where it was not found."""

    divergence: Divergence | None
    words: str


def locate(
    exposed: Observation,
    traced: Observation | None,
    outputs: Sequence[str],
    tolerances: Tolerances,
    path: Callable[[str], Path],
) -> Located:
    """Locate the first diverging node.

    Args:
        exposed: The job of the reference environment, which leaves the nodes and their tensors.
        traced: The job of the converter's environment, which leaves the same tensors.
        outputs: The names of the model's outputs.
        path: Returns the path of a blob.
    """
    one, two = exposed.file("exposed.npz"), traced.file("traced.npz") if traced is not None else None
    nodes = exposed.facts.get("nodes")
    if one is None or two is None or not isinstance(nodes, list):
        return Located(None, "not found: the intermediate tensors were not kept")
    try:
        facts = [Node.of(fact) for fact in nodes]
        found = first_divergence(facts, read_arrays(path(one)), read_arrays(path(two)), tolerances, outputs)
    except (OSError, ValueError, NotComparable) as error:
        return Located(None, f"not found: the intermediate tensors cannot be compared ({error})")
    if found is None:
        return Located(None, "not found: all nodes agree when their intermediate tensors are exposed")
    return Located(found, found.words)
