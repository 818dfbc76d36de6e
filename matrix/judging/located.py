"""What two sets of intermediate tensors on disk say about the node at which the numbers part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.judging.arrays import read_arrays
from matrix.judging.compare import NotComparable, Tolerances
from matrix.judging.divergence import Divergence, Node, first_divergence
from matrix.store import Observation


@dataclass(frozen=True)
class Located:
    """The first diverging node and one sentence about it; None and why where it could not be found."""

    divergence: Divergence | None
    words: str


def locate(
    exposed: Observation,
    traced: Observation | None,
    outputs: Sequence[str],
    tolerances: Tolerances,
    path: Callable[[str], Path],
) -> Located:
    """`exposed` is what the reference environment left, `traced` what the converter's did, `outputs` are the names of
    the model's own; `path` finds a blob."""
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
        return Located(None, "not found: with its intermediate tensors exposed, every node agrees")
    return Located(found, found.words)
