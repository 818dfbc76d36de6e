"""Pairs of arrays, in a form in which they can be subtracted safely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrix.judging.tolerance import KIND_OF_DTYPE, Tolerance

Array = NDArray[Any]
Arrays = Mapping[str, Array]


class NotComparable(TypeError):
    """An array does not hold numbers, but objects, text, records, dates, or floats wider than 64 bits."""


def dtype_name(key: str, array: Array) -> str:
    """Return the dtype's name without byte order. Raises NotComparable, naming ``key``, if it is not a number."""
    if _is_bfloat16(array):
        return "bfloat16"
    if array.dtype.name not in KIND_OF_DTYPE:
        raise NotComparable(f"{key} holds {array.dtype.name} values; only numbers and booleans can be compared")
    return array.dtype.name


def _is_bfloat16(array: Array) -> bool:
    # numpy has no bfloat16: ml_dtypes adds one, and np.savez stores it as two raw bytes per element. No other two-byte
    # type is stored so (float16 and int16 are numpy's own).
    return array.dtype.name == "bfloat16" or array.dtype.str[1:] == "V2"


def wide(array: Array) -> Array:
    """Return the values as float64 (complex128 for complex). Exact, except for integers beyond 2**53."""
    if _is_bfloat16(array):
        # bfloat16 is the upper half of a float32.
        halves = np.ascontiguousarray(array).view("<u2").astype(np.uint32) << 16
        return halves.view(np.float32).reshape(array.shape).astype(np.float64)
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


@dataclass(frozen=True)
class TensorPair:
    """A reference and an actual array of one shape, flattened, with the properties of each element.

    All arrays are 1-D and of one length. ``finite`` marks the elements that are finite on both sides,
    ``nan_differs`` those NaN on one side only, ``inf_differs`` those infinite on one side only or with the
    other sign. ``reference``, ``actual`` and ``distance`` (their absolute difference) are 0 where not finite;
    ``bound`` is the distance allowed.
    """

    reference: Array
    actual: Array
    distance: NDArray[np.float64]
    bound: NDArray[np.float64]
    finite: NDArray[np.bool_]
    nan_differs: NDArray[np.bool_]
    inf_differs: NDArray[np.bool_]

    @property
    def too_far(self) -> NDArray[np.bool_]:
        return self.distance > self.bound

    @property
    def mismatching(self) -> NDArray[np.bool_]:
        return self.too_far | self.nan_differs | self.inf_differs


def pair(reference: Array, actual: Array, tolerance: Tolerance) -> TensorPair:
    """Pair two arrays of equal shape and any numeric dtypes."""
    left, right = wide(reference).ravel(), wide(actual).ravel()
    nan_differs = np.isnan(left) != np.isnan(right)
    infinite = np.isinf(left) | np.isinf(right)
    inf_differs = infinite & (left != right) & ~nan_differs
    finite = np.isfinite(left) & np.isfinite(right)
    left, right = np.where(finite, left, 0), np.where(finite, right, 0)
    with np.errstate(over="ignore"):  # the distance of two huge numbers of opposite sign is infinite
        same_integers = reference.dtype.kind in "iu" and reference.dtype.name == actual.dtype.name
        distance = _integer_distance(reference, actual) if same_integers else np.abs(left - right)
        bound = tolerance.atol + tolerance.rtol * np.abs(left)
    return TensorPair(left, right, distance, bound, finite, nan_differs, inf_differs)


def _integer_distance(reference: Array, actual: Array) -> NDArray[np.float64]:
    # Unsigned arithmetic is modulo 2**64, so larger minus smaller is right even from int64's minimum to its
    # maximum. A distance that is not 0 stays so as a float64, in which 2**60 and 2**60 + 1 are one number.
    larger, smaller = np.maximum(reference, actual).ravel(), np.minimum(reference, actual).ravel()
    distance: NDArray[np.float64] = (larger.astype(np.uint64) - smaller.astype(np.uint64)).astype(np.float64)
    return distance
