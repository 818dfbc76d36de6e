"""The dynamic range of reference outputs: whether they vary enough for a comparison to prove anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matrix.judging.tensors import Array, Arrays, dtype_name, wide
from matrix.judging.tolerance import Tolerance, Tolerances
from matrix.table.ids import ArrayKey

_TIMES = 10
"""A spread of only a few tolerances is still a blind test: a wrong conversion could hide in it."""


@dataclass(frozen=True)
class DynamicRange:
    """The range of each output tensor over all cases.

    ``spread``: by tensor name, largest minus smallest finite element, in the output's unit. ``blind`` names the
    tensors for which one constant would pass in all cases, such as an untrained sigmoid at 0.5.
    """

    spread: dict[str, float]
    blind: tuple[str, ...]

    @property
    def all_blind(self) -> bool:
        """Whether no output distinguishes a right conversion from a wrong one; true of an empty set of outputs."""
        return len(self.blind) == len(self.spread)


def dynamic_range(reference: Arrays, tolerances: Tolerances | None = None) -> DynamicRange:
    """Measure the outputs of all cases together; keys are ``<case>/<tensor name>``.

    Raises NotComparable for an array that does not hold numbers.
    """
    tolerances = tolerances or Tolerances()
    tensors: dict[str, list[Array]] = {}
    allowed: dict[str, Tolerance] = {}
    for key, array in reference.items():
        name = ArrayKey.parse(key).name
        tensors.setdefault(name, []).append(array)
        allowed[name] = tolerances.of(dtype_name(key, array))
    return DynamicRange(
        spread={name: _spread(arrays) for name, arrays in tensors.items()},
        blind=tuple(name for name, arrays in tensors.items() if near_constant(arrays, allowed[name])),
    )


def near_constant(arrays: Sequence[Array], tolerance: Tolerance) -> bool:
    """Tell whether one number in place of every finite element would pass a tolerance ten times as wide."""
    values = _finite(arrays)
    if values.size == 0:
        return True
    # Halved before they are added: the sum of two float64 values may be too large for one.
    middle = _smallest(values) / 2 + _largest(values) / 2
    with np.errstate(over="ignore"):
        bound = _TIMES * (tolerance.atol + tolerance.rtol * np.abs(values))
        return bool(np.all(np.abs(values - middle) <= bound))


def _spread(arrays: Sequence[Array]) -> float:
    values = _finite(arrays)
    with np.errstate(over="ignore"):
        return float(np.abs(_largest(values) - _smallest(values))) if values.size else 0.0


def _finite(arrays: Sequence[Array]) -> Array:
    values: Array = np.concatenate([wide(array).ravel() for array in arrays])
    return values[np.isfinite(values)]


# Complex numbers have no order; the corners of the rectangle that holds them serve as well.
def _smallest(values: Array) -> complex:
    return complex(values.real.min(), values.imag.min())


def _largest(values: Array) -> complex:
    return complex(values.real.max(), values.imag.max())
