"""Tolerances: how far an output may differ from its reference and still match."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Tolerance:
    """An element passes when ``|actual - reference| <= atol + rtol * |reference|``.

    Both are finite and not negative, ``atol`` in the unit of the output. Raises ValueError otherwise.
    """

    rtol: float
    atol: float

    def __post_init__(self) -> None:
        for name, value in (("rtol", self.rtol), ("atol", self.atol)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number >= 0, not {value!r}")

    def __str__(self) -> str:
        return f"rtol={self.rtol:g}, atol={self.atol:g}"


EXACT = Tolerance(rtol=0.0, atol=0.0)


@dataclass(frozen=True)
class Tolerances:
    """One tolerance for each kind of number; a complex number uses the kind of its parts.

    float32 sets the scale: rtol as in ONNX's own backend tests (1e-3), atol as in PyTorch's ``assert_close`` (1e-5).
    The others follow from the precision of their type: the next number after 1 is 1e-3 away in float16 and 8e-3 in
    bfloat16, and a few roundings must fit.
    """

    float64: Tolerance = Tolerance(rtol=1e-4, atol=1e-6)
    float32: Tolerance = Tolerance(rtol=1e-3, atol=1e-5)
    float16: Tolerance = Tolerance(rtol=1e-2, atol=1e-3)
    bfloat16: Tolerance = Tolerance(rtol=5e-2, atol=1e-2)
    integer: Tolerance = EXACT
    boolean: Tolerance = EXACT

    # Cached, because every comparison is looked up by its tolerances.
    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, field.name) for field in fields(self)))

    def __hash__(self) -> int:
        return self._hash

    def of(self, dtype_name: str) -> Tolerance:
        """Return the tolerance for a numpy dtype by its name. Raises KeyError for a type that is not a number."""
        found: Tolerance = getattr(self, KIND_OF_DTYPE[dtype_name])
        return found

    def override(self, changes: Mapping[str, Tolerance]) -> Tolerances:
        """Return a copy with some kinds replaced. Raises ValueError for a kind that does not exist."""
        unknown = sorted(set(changes) - set(KIND_OF_DTYPE.values()))
        if unknown:
            known = ", ".join(sorted(set(KIND_OF_DTYPE.values())))
            raise ValueError(f"unknown kind of number: {', '.join(unknown)} (known: {known})")
        return replace(self, **changes)


KIND_OF_DTYPE: Mapping[str, str] = {
    "float64": "float64",
    "complex128": "float64",
    "float32": "float32",
    "complex64": "float32",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "bool": "boolean",
} | {np.dtype(f"{sign}int{bits}").name: "integer" for sign in ("", "u") for bits in (8, 16, 32, 64)}
