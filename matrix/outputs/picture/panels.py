"""Two masks of the same image compared: in numbers, and as panels in colour, H x W x 3, uint8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Numbers of any precision, H x W.
Mask = NDArray[np.floating[Any]]

Colours = NDArray[np.uint8]
Colour = tuple[int, int, int]

THRESHOLD = 0.5

# Distinguishable also without seeing red or green.
BOTH: Colour = (235, 235, 235)
ONLY_TORCH: Colour = (230, 97, 1)
ONLY_CONVERTED: Colour = (53, 132, 228)
NEITHER: Colour = (38, 38, 38)
# Not a number: neither dark nor light.
NOT_FINITE: Colour = (200, 0, 200)

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


@dataclass(frozen=True)
class Agreement:
    """How two masks agree. The shares are of all pixels, counting those that reach THRESHOLD; `max_abs` is NaN if only
    one side is not finite, or both in different ways."""

    max_abs: float
    both: float
    only_torch: float
    only_converted: float

    @property
    def iou(self) -> float | None:
        """Intersection over union, None if no pixel reaches THRESHOLD in either."""
        union = self.both + self.only_torch + self.only_converted
        return self.both / union if union else None


def difference(torch: Mask, converted: Mask) -> NDArray[np.float64]:
    """Return |torch - converted|, H x W; 0 where both are the same infinity or both NaN, NaN where only one is."""
    one, other = torch.astype(np.float64), converted.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(one - other)
    apart[(one == other) | (np.isnan(one) & np.isnan(other))] = 0
    apart[np.isinf(apart)] = np.nan
    return apart


def agreement(torch: Mask, converted: Mask) -> Agreement:
    """Measure two masks of shape H x W."""
    shares = (float(np.mean(area)) for area in _areas(torch, converted))
    return Agreement(float(np.max(difference(torch, converted))), *shares)


def grey(mask: Mask, low: float, high: float) -> Colours:
    """Paint `low` black and `high` white."""
    return _greys((mask - low) / ((high - low) or 1), np.isfinite(mask))


def apart(torch: Mask, converted: Mask) -> Colours:
    """Paint the difference, its maximum white."""
    values = difference(torch, converted)
    return _greys(values / (np.nanmax(values, initial=0) or 1), np.isfinite(values))


def above(mask: Mask) -> Colours:
    """Paint the pixels that reach THRESHOLD white."""
    return agreeing(mask, mask)


def agreeing(torch: Mask, converted: Mask) -> Colours:
    """Paint which of the two masks reach THRESHOLD."""
    colours = np.full((*torch.shape, 3), NEITHER, dtype=np.uint8)
    for area, colour in zip(_areas(torch, converted), (BOTH, ONLY_TORCH, ONLY_CONVERTED), strict=True):
        colours[area] = colour
    return colours


def dyed(image: Colours, mask: Mask, dye: Colour) -> Colours:
    """Dye the image by the mask (0 not at all, 1 wholly), keeping light and shade."""
    weight = np.clip(np.nan_to_num(mask.astype(np.float64)), 0, 1)[..., np.newaxis]
    light = (image @ _LUMA / 255)[..., np.newaxis]
    # Hair is dark: a dye only multiplied by its light would hardly be visible.
    tinted = np.asarray(dye) * (0.35 + 0.9 * light)
    colours: Colours = np.rint(np.clip(image * (1 - weight) + tinted * weight, 0, 255)).astype(np.uint8)
    return colours


def _areas(torch: Mask, converted: Mask) -> tuple[NDArray[np.bool_], ...]:
    """Return the pixels that reach THRESHOLD in both masks, and in one of them only."""
    one, other = torch >= THRESHOLD, converted >= THRESHOLD
    return one & other, one & ~other, ~one & other


def _greys(share: NDArray[np.floating], finite: NDArray[np.bool_]) -> Colours:
    values = np.rint(np.clip(np.where(finite, share, 0), 0, 1) * 255).astype(np.uint8)
    colours = np.repeat(values[..., np.newaxis], 3, axis=-1)
    colours[~finite] = NOT_FINITE
    return colours
