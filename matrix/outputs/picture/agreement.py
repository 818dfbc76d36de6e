"""Two masks of the same image held against each other, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Numbers of any precision, H x W.
Mask = NDArray[np.floating[Any]]

THRESHOLD = 0.5


@dataclass(frozen=True)
class Agreement:
    """How two masks agree. The shares are of all pixels, counting those that reach THRESHOLD; `iou` is their
    intersection over union, None where no pixel reaches it in either; `max_abs` is NaN where one side alone is not
    finite, or both in different ways."""

    max_abs: float
    both: float
    only_torch: float
    only_converted: float

    @property
    def iou(self) -> float | None:
        union = self.both + self.only_torch + self.only_converted
        return self.both / union if union else None


def difference(torch: Mask, converted: Mask) -> NDArray[np.float64]:
    """|torch - converted|, H x W; 0 where both are the same infinity or both NaN, NaN where only one is."""
    one, other = torch.astype(np.float64), converted.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(one - other)
    apart[(one == other) | (np.isnan(one) & np.isnan(other))] = 0
    apart[np.isinf(apart)] = np.nan
    return apart


def agreement(torch: Mask, converted: Mask) -> Agreement:
    """Measure two masks of shape H x W."""
    one, other = torch >= THRESHOLD, converted >= THRESHOLD
    return Agreement(
        max_abs=float(np.max(difference(torch, converted))),
        both=float(np.mean(one & other)),
        only_torch=float(np.mean(one & ~other)),
        only_converted=float(np.mean(~one & other)),
    )
