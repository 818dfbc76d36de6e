"""Compare two sets of outputs: shape, dtype, NaN and infinity first, then values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from matrix.judging.arrays import UnreadableArrays, read_arrays
from matrix.judging.dynamic_range import DynamicRange, dynamic_range
from matrix.judging.hints import hints
from matrix.judging.judge import ARRAYS_MISSING, ARRAYS_UNREADABLE, Leg
from matrix.judging.metrics import Metrics, measure, top1_rows
from matrix.judging.tensors import Array, Arrays, NotComparable, TensorPair, dtype_name, pair, wide
from matrix.judging.tolerance import Tolerance, Tolerances
from matrix.table.ids import ArrayKey

__all__ = [
    "Arrays",
    "Comparison",
    "DynamicRange",
    "Metrics",
    "NotComparable",
    "Tolerance",
    "Tolerances",
    "align",
    "compare",
    "compare_files",
    "dynamic_range",
]

_NAMED = 5
"""Names that a sentence lists at most."""


@dataclass(frozen=True)
class Comparison:
    """The result of ``compare``.

    ``reason`` is None for a match, else the first of `output-count`, `output-names`, `output-shape`, `output-dtype`,
    `nan-mask`, `inf-mask`, `values-differ` that applies to any output; ``where`` is the key of that output (None where
    there is no single one) and ``detail`` one sentence about it. ``metrics`` covers all outputs whose shape is right,
    ``per_output`` each of them. ``hints`` are ids of simple explanations, see `hints.hints`.
    """

    reason: str | None
    where: str | None
    detail: str
    metrics: Metrics
    per_output: Mapping[str, Metrics] = field(default_factory=dict)
    hints: tuple[str, ...] = ()

    @property
    def match(self) -> bool:
        return self.reason is None


class _Failure(NamedTuple):
    reason: str
    where: str | None
    detail: str


def compare(reference: Arrays, actual: Arrays, tolerances: Tolerances | None = None) -> Comparison:
    """Compare outputs whose keys are ``<case>/<tensor name>``; arrays of any shape, numbers or booleans.

    Raises NotComparable naming the first array that holds anything else, such as Python objects.
    """
    tolerances = tolerances or Tolerances()
    dtypes = {key: dtype_name(key, array) for key, array in reference.items()}
    found = {key: dtype_name(key, array) for key, array in actual.items()}
    pairs: dict[str, TensorPair] = {}
    top1: dict[str, tuple[int, int]] = {}
    for key, expected in reference.items():
        if key in actual and actual[key].shape == expected.shape:
            pairs[key] = pair(expected, actual[key], tolerances.of(dtypes[key]))
            top1[key] = top1_rows(expected, actual[key])
    per_output = {key: measure([pairs[key]], [top1[key]]) for key in pairs}
    failure = next(_failures(reference, actual, dtypes, found, pairs), None)
    failure = failure or _values_differ(reference, actual, pairs, per_output, dtypes, tolerances)
    metrics = measure(list(pairs.values()), list(top1.values()))
    if failure is None:
        detail = f"All elements lie within the tolerance ({metrics.elements} in {len(pairs)} outputs)."
        return Comparison(None, None, detail, metrics, per_output)
    explained: tuple[str, ...] = ()
    if failure.reason in ("output-shape", "values-differ") and failure.where is not None:
        where = failure.where
        explained = hints(reference[where], actual[where], tolerances.of(dtypes[where]))
    return Comparison(failure.reason, failure.where, failure.detail, metrics, per_output, explained)


def compare_files(one: Path, two: Path, by_position: bool, tolerances: Tolerances, shared: bool = False) -> Leg:
    """Compare two .npz files with keys `<case>/<tensor name>`; `one` is the reference. `by_position`: the names may
    differ; `shared`: only the cases that `two` has, at least one. A file that is missing or unreadable is a reason, not
    an exception."""
    try:
        reference = read_arrays(one)
        actual = read_arrays(two)
        if shared and (cases := _by_case(actual)):
            reference = {key: array for key, array in reference.items() if ArrayKey.parse(key).case in cases}
        if by_position:
            actual = align(reference, actual)
        found = compare(reference, actual, tolerances)
        blind = dynamic_range(reference, tolerances).all_blind
    except (UnreadableArrays, NotComparable) as error:
        return Leg(ARRAYS_UNREADABLE, str(error), {})
    except OSError as error:
        return Leg(ARRAYS_MISSING, f"a stored file cannot be opened: {error.strerror}", {})
    return Leg(found.reason, found.detail, found.metrics.as_dict(), found.hints, blind, found.where)


def align(reference: Arrays, actual: Arrays) -> dict[str, Array]:
    """Rename the tensors of ``actual`` to those of ``reference``, by position within each case.

    For frameworks that do not agree on names. Where the numbers of tensors differ in any case, positions are
    meaningless: then ``actual`` is returned as it is, and `compare` reports the difference.
    """
    names, found = _by_case(reference), _by_case(actual)
    if {case: len(keys) for case, keys in names.items()} != {case: len(keys) for case, keys in found.items()}:
        return dict(actual)
    return {name: actual[key] for case, keys in names.items() for name, key in zip(keys, found[case], strict=True)}


def _by_case(arrays: Arrays) -> dict[str, list[str]]:
    cases: dict[str, list[str]] = {}
    for key in arrays:
        cases.setdefault(ArrayKey.parse(key).case, []).append(key)
    return cases


def _failures(
    reference: Arrays,
    actual: Arrays,
    dtypes: Mapping[str, str],
    found: Mapping[str, str],
    pairs: Mapping[str, TensorPair],
) -> Iterator[_Failure]:
    """Yield what differs except values. Each check relies on those before it: only the first failure is valid."""
    if not reference:
        yield _Failure("output-count", None, "The reference has no outputs, so nothing was compared.")
    missing = [key for key in reference if key not in actual]
    extra = [key for key in actual if key not in reference]
    where = next(iter([*missing, *extra]), None)
    difference = f"missing: {_names(missing)}; not expected: {_names(extra)}"
    if len(reference) != len(actual):
        counts = f"{len(actual)} outputs where the reference has {len(reference)}"
        yield _Failure("output-count", where, f"There are {counts} ({difference}).")
    if missing:
        yield _Failure("output-names", where, f"The outputs have other names ({difference}).")
    for key, expected in reference.items():
        if actual[key].shape != expected.shape:
            shapes = f"{list(actual[key].shape)} where the reference has {list(expected.shape)}"
            yield _Failure("output-shape", key, f"{key} has the shape {shapes}.")
    for key, dtype in dtypes.items():
        if found[key] != dtype:
            yield _Failure("output-dtype", key, f"{key} holds {found[key]} where the reference has {dtype}.")
    for key, p in pairs.items():
        if count := int(np.count_nonzero(p.nan_differs)):
            yield _Failure("nan-mask", key, f"{key}: {count} of {p.distance.size} elements are NaN on one side only.")
    for key, p in pairs.items():
        if count := int(np.count_nonzero(p.inf_differs)):
            elements = f"{count} of {p.distance.size} elements"
            detail = f"{key}: {elements} are infinite on one side only, or with the other sign."
            yield _Failure("inf-mask", key, detail)


def _names(keys: list[str]) -> str:
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return (", ".join(keys[:_NAMED]) or "none") + more


def _values_differ(
    reference: Arrays,
    actual: Arrays,
    pairs: Mapping[str, TensorPair],
    per_output: Mapping[str, Metrics],
    dtypes: Mapping[str, str],
    tolerances: Tolerances,
) -> _Failure | None:
    failing = [key for key, p in pairs.items() if np.any(p.too_far)]
    if not failing:
        return None
    worst = max(failing, key=lambda key: per_output[key].tightest or 0.0)
    p = pairs[worst]
    excess = np.where(p.too_far, p.distance - p.bound, -1.0)
    farthest = int(np.argmax(excess))
    at = [int(index) for index in np.unravel_index(farthest, reference[worst].shape)]
    count, size = int(np.count_nonzero(p.too_far)), p.distance.size
    others = f", and {len(failing) - 1} of the other outputs differ" if len(failing) > 1 else ""
    return _Failure(
        "values-differ",
        worst,
        f"{worst}: {count} of {size} elements ({count / size:.2%}) lie outside"
        f" {tolerances.of(dtypes[worst])}; the farthest, at {at}, is {_number(actual[worst], farthest)}"
        f" where the reference has {_number(reference[worst], farthest)}{others}.",
    )


def _number(array: Array, index: int) -> str:
    # In the array's own type: a large integer would lose its last digits as a float64.
    return str(array.ravel()[index] if array.dtype.kind != "V" else wide(array).ravel()[index])
