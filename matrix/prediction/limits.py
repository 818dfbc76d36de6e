"""What onnx-tf refuses by its own code, whatever the rest of the file is.

Source: the exceptions that the handlers of each release raise (gru.py, resize.py, batch_normalization.py and
pool_mixin.py of onnx_tf/handlers/backend/). Only what one attribute decides is here; coverage tells the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from matrix.operators import Use


@dataclass(frozen=True, slots=True)
class Limit:
    """The releases of onnx-tf that refuse an operator with this value of an attribute."""

    operator: str
    attribute: str
    value: str | int
    releases: SpecifierSet


LIMITS = (
    Limit("GRU", "linear_before_reset", 1, SpecifierSet(">=1.2")),
    Limit("Resize", "coordinate_transformation_mode", "pytorch_half_pixel", SpecifierSet(">=1.6")),
    Limit("BatchNormalization", "training_mode", 1, SpecifierSet(">=1.9")),
    Limit("MaxPool", "storage_order", 1, SpecifierSet(">=1.6")),
)


def limits_of(onnx_tf: str) -> dict[tuple[str, str, str | int], Limit]:
    """By (operator, attribute, value), those of one release."""
    return {
        (limit.operator, limit.attribute, limit.value): limit for limit in LIMITS if limit.releases.contains(onnx_tf)
    }


def limit_on(use: Use, limits: dict[tuple[str, str, str | int], Limit]) -> Limit | None:
    """The limit that this use runs into."""
    return next((limit for mode in use.modes if (limit := limits.get((use.operator, *mode))) is not None), None)
