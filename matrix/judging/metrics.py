"""Metrics of the difference between two sets of outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from matrix.judging.tensors import Array, TensorPair

REL_FLOOR = 1e-6
"""The floor of a reference in ``max_rel``: relative to values near 0 every difference is enormous."""


@dataclass(frozen=True)
class Metrics:
    """Differences over ``elements`` numbers. Distances are in the unit of the output itself.

    The distances, ``rmse``, ``cosine`` and ``snr_db`` cover only elements that are finite on both sides, and are None
    where there are none; ``mismatch_share`` and ``tightest`` cover all: a NaN or infinity on one side only is a
    mismatch under any tolerance.
    """

    elements: int
    max_abs: float | None = None
    """Largest ``|actual - reference|``."""
    max_rel: float | None = None
    """Largest ``|actual - reference| / max(|reference|, REL_FLOOR)``."""
    mean_abs: float | None = None
    rmse: float | None = None
    """Root of the mean squared difference."""
    cosine: float | None = None
    """Cosine of the angle between both, -1 to 1 (real part for complex); 1 if both are all 0, 0 if one is."""
    snr_db: float | None = None
    """``10 log10(sum reference² / sum difference²)`` in dB; infinite where nothing differs."""
    mismatch_share: float | None = None
    """Share of the elements outside the tolerance, 0 to 1."""
    top1_agreement: float | None = None
    """Share of rows, 0 to 1, whose largest element is the same; see ``top1_rows``."""
    tightest: float | None = None
    """Smallest ``s`` such that ``|actual - reference| <= s * (atol + rtol * |reference|)`` everywhere.

    1 is the limit, 0 means equal, infinite that no factor suffices."""
    margin: float | None = None
    """``1 / tightest``: how many times tighter the tolerance could be; below 1 for a mismatch."""

    def as_dict(self) -> dict[str, float | int | str | None]:
        """Return the metrics for JSON, in which infinities become "inf" and "-inf", and NaN null."""
        return {name: _jsonable(value) for name, value in asdict(self).items()}


def _jsonable(value: float | int | None) -> float | int | str | None:
    if value is None or isinstance(value, int) or math.isfinite(value):
        return value
    return None if math.isnan(value) else f"{value:.0f}"


def measure(pairs: Sequence[TensorPair], top1: Sequence[tuple[int, int]] = ()) -> Metrics:
    """Measure all elements of all pairs together; ``top1`` holds the results of ``top1_rows``."""
    elements = sum(p.distance.size for p in pairs)
    if elements == 0:
        return Metrics(elements=0)
    mismatches = sum(int(np.count_nonzero(p.mismatching)) for p in pairs)
    tightest = max(_tightest(p) for p in pairs)
    rows = sum(row_count for _, row_count in top1)
    judged = Metrics(
        elements=elements,
        mismatch_share=mismatches / elements,
        top1_agreement=sum(agreeing for agreeing, _ in top1) / rows if rows else None,
        tightest=tightest,
        margin=1 / tightest if tightest > 0 else math.inf,
    )
    reference = np.concatenate([p.reference[p.finite] for p in pairs])
    if reference.size == 0:
        return judged
    actual = np.concatenate([p.actual[p.finite] for p in pairs])
    distance = np.concatenate([p.distance[p.finite] for p in pairs])
    return Metrics(**(asdict(judged) | _distances(reference, actual, distance)))


def _distances(reference: Array, actual: Array, distance: Array) -> dict[str, float]:
    # Squares of float64 values overflow from 1e154 on, but fit into x86's long double. On machines whose long double is
    # a float64, metrics of such outputs are infinite; the verdict is the same.
    widest = max(np.abs(reference).max(), np.abs(actual).max(), distance.max())
    real = np.float64 if 1e-100 < widest < 1e100 else np.longdouble
    wide = np.result_type(real, reference.dtype)
    left, right = reference.astype(wide, copy=False), actual.astype(wide, copy=False)
    apart = distance.astype(real, copy=False)
    signal, energy, noise = _square_sum(left), _square_sum(right), _square_sum(apart)
    with np.errstate(over="ignore", divide="ignore"):
        return {
            "max_abs": float(apart.max()),
            "max_rel": float((apart / np.maximum(np.abs(left), REL_FLOOR)).max()),
            "mean_abs": float(apart.mean()),
            "rmse": float(np.sqrt(noise / apart.size)),
            "cosine": _cosine(np.vdot(left, right).real, np.sqrt(signal) * np.sqrt(energy), bool(signal == energy)),
            "snr_db": float(10 * np.log10(signal / noise)) if noise else math.inf,
        }


def _square_sum(values: Array) -> np.floating[Any]:
    total: np.floating[Any] = np.sum(np.square(np.abs(values)))
    return total


def _cosine(product: np.floating[Any], norms: np.floating[Any], equally_long: bool) -> float:
    if norms == 0:  # one of them is all 0, or both are
        return 1.0 if equally_long else 0.0
    return min(1.0, max(-1.0, float(product / norms)))


def _tightest(p: TensorPair) -> float:
    if np.any(p.nan_differs | p.inf_differs):
        return math.inf
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        factors = np.where(p.distance == 0, 0.0, p.distance / p.bound)
    # A distance above its bound is at least one unit in the last place above it, so their quotient never rounds to 1:
    # an element passes if and only if its factor is at most 1.
    return float(factors.max(initial=0.0))


def top1_rows(reference: Array, actual: Array) -> tuple[int, int]:
    """Count the rows whose largest element is the same, and all rows; ``(0, 0)`` where no axis looks like classes.

    An axis looks like classes when a floating-point output has exactly two axes, the second of at least two elements:
    (batch, classes). Images and sequences have more axes, and their maximum is meaningless. A row also agrees when
    both candidates are equally large in the reference.
    """
    if reference.ndim != 2 or reference.shape[1] < 2 or reference.dtype.kind != "f" or actual.dtype.kind != "f":
        return 0, 0
    rows = np.arange(reference.shape[0])
    expected, found = reference.argmax(axis=1), actual.argmax(axis=1)
    agreeing = (expected == found) | (reference[rows, expected] == reference[rows, found])
    return int(np.count_nonzero(agreeing)), len(rows)
