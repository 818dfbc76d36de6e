"""Masks as colours: each function gives one panel, H x W x 3, uint8."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from matrix.outputs.picture.agreement import THRESHOLD, Mask, difference

Colours = NDArray[np.uint8]
Colour = tuple[int, int, int]

# Told apart also by those who do not see red or green.
BOTH: Colour = (235, 235, 235)
ONLY_TORCH: Colour = (230, 97, 1)
ONLY_CONVERTED: Colour = (53, 132, 228)
NEITHER: Colour = (38, 38, 38)
# No number: neither dark nor light.
NOT_FINITE: Colour = (200, 0, 200)

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def grey(mask: Mask, low: float, high: float) -> Colours:
    """`low` black, `high` white."""
    return _greys((mask - low) / ((high - low) or 1), np.isfinite(mask))


def apart(torch: Mask, converted: Mask) -> Colours:
    """The difference, its maximum white."""
    values = difference(torch, converted)
    return _greys(values / (np.nanmax(values, initial=0) or 1), np.isfinite(values))


def above(mask: Mask) -> Colours:
    """White where the mask reaches THRESHOLD."""
    return _painted([(mask >= THRESHOLD, BOTH)])


def agreeing(torch: Mask, converted: Mask) -> Colours:
    """Which of the two reach THRESHOLD."""
    one, other = torch >= THRESHOLD, converted >= THRESHOLD
    return _painted([(one & other, BOTH), (one & ~other, ONLY_TORCH), (~one & other, ONLY_CONVERTED)])


def dyed(image: Colours, mask: Mask, dye: Colour) -> Colours:
    """The image in the dye as far as the mask says so (0 not at all, 1 wholly), keeping light and shade."""
    weight = np.clip(np.nan_to_num(mask.astype(np.float64)), 0, 1)[..., np.newaxis]
    light = (image @ _LUMA / 255)[..., np.newaxis]
    # Hair is dark: a dye that were only multiplied by its light would hardly be seen.
    tinted = np.asarray(dye) * (0.35 + 0.9 * light)
    colours: Colours = np.rint(np.clip(image * (1 - weight) + tinted * weight, 0, 255)).astype(np.uint8)
    return colours


def _greys(share: NDArray[np.floating], finite: NDArray[np.bool_]) -> Colours:
    values = np.rint(np.clip(np.where(finite, share, 0), 0, 1) * 255).astype(np.uint8)
    colours = np.repeat(values[..., np.newaxis], 3, axis=-1)
    colours[~finite] = NOT_FINITE
    return colours


def _painted(areas: list[tuple[NDArray[np.bool_], Colour]]) -> Colours:
    colours = np.empty((*areas[0][0].shape, 3), dtype=np.uint8)
    colours[:] = NEITHER
    for area, colour in areas:
        colours[area] = colour
    return colours
