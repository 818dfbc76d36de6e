"""Simple explanations of a difference, each shown by one test."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from matrix.judging.dynamic_range import near_constant
from matrix.judging.tensors import Array, NotComparable, dtype_name, pair, wide
from matrix.judging.tolerance import Tolerance

_FEWEST = 8
"""Fewer numbers than this fit almost any explanation."""


def hints(reference: Array, actual: Array, tolerance: Tolerance) -> tuple[str, ...]:
    """Return the ids of the explanations under which ``actual`` would pass, for a pair that does not.

    - ``layout-swapped``: equal after moving the channel axis from second to last place or back (NCHW, NHWC), whether
      the axes are in the other order or only the numbers are.
    - ``constant-shift``: one number was added to every element.
    - ``constant-scale``: every element was multiplied by one number.
    """
    try:
        names = {dtype_name("", reference), dtype_name("", actual)}
    except NotComparable:
        return ()
    if not reference.size == actual.size >= _FEWEST or len(names) > 1 or "bool" in names:
        return ()
    explained = {
        "layout-swapped": _layout_swapped(reference, actual, tolerance),
        "constant-shift": _undone(reference, actual, tolerance, lambda left, right: right - np.mean(right - left)),
        "constant-scale": _undone(
            reference, actual, tolerance, lambda left, right: np.vdot(right, left) / np.vdot(right, right) * right
        ),
    }
    return tuple(name for name, passes in explained.items() if passes)


def _passes(reference: Array, actual: Array, tolerance: Tolerance) -> bool:
    return not np.any(pair(reference, actual, tolerance).mismatching)


def _layout_swapped(reference: Array, actual: Array, tolerance: Tolerance) -> bool:
    if reference.ndim < 3:
        return False
    moved = (np.moveaxis(reference, 1, -1), np.moveaxis(reference, -1, 1))
    same_shape = [m.reshape(actual.shape) for m in moved if actual.shape in (m.shape, reference.shape)]
    return any(_passes(m, actual, tolerance) for m in same_shape)


def _undone(reference: Array, actual: Array, tolerance: Tolerance, undo: Callable[[Array, Array], Array]) -> bool:
    """Tell whether ``actual`` passes once `undo` has removed one constant from it."""
    left, right = wide(reference), wide(actual)
    finite = bool(np.all(np.isfinite(left)) and np.all(np.isfinite(right)))
    # A constant can be shifted and scaled onto any other, which explains nothing.
    if reference.shape != actual.shape or not finite or near_constant([reference], tolerance):
        return False
    with np.errstate(all="ignore"):
        return _passes(left, undo(left, right), tolerance)
