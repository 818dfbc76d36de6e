"""The content of the sheet: image, prediction, mask and dyed image of both models, and how they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from matrix.outputs.picture import panels
from matrix.outputs.picture.draw import Panel, Sheet
from matrix.outputs.picture.panels import THRESHOLD, Agreement, Colour, Mask, agreement

_SLACK = 1e-3


def compose(
    image: Image.Image,
    masks: tuple[Mask, Mask],
    names: tuple[str, str],
    title: str,
    subtitles: Sequence[str],
    dye: Colour,
) -> Image.Image:
    """Return the picture as RGB. `masks` are the models' outputs for `image`, each H x W; of these and `names`, the
    original's come first. The image is shown in the size of the masks."""
    one, other = masks
    high, wide = one.shape
    shown = np.asarray(image.resize((wide, high), Image.Resampling.BICUBIC))
    measured = agreement(one, other)
    low, top = shade(masks)
    rows = [
        (
            name,
            [
                Panel(shown, heading="image"),
                Panel(panels.grey(mask, low, top), _range(mask, low, top), "prediction"),
                Panel(panels.above(mask), _share(mask), f"mask, at least {THRESHOLD}"),
                Panel(panels.dyed(shown, mask, dye), (("prediction in colour", dye),), "dyed"),
                last,
            ],
        )
        for name, mask, last in zip(names, masks, _compared(one, other, names, measured), strict=True)
    ]
    return Sheet(title, [*subtitles, summary(measured, names)], rows).draw()


def summary(measured: Agreement, names: tuple[str, str]) -> str:
    """Return `max |torch - TensorFlow| 4.8e-07 · IoU at 0.5: 1.0000`."""
    return f"max |{names[0]} - {names[1]}| {measured.max_abs:.1e} · IoU at {THRESHOLD}: {_iou(measured)}"


def shade(masks: tuple[Mask, Mask]) -> tuple[float, float]:
    """Return the values shown black and white: 0 and 1 if all are within, else the extremes of both masks."""
    values = np.concatenate([mask[np.isfinite(mask)] for mask in masks])
    low, top = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    # In float32, a sigmoid may be one bit above 1.
    return (0.0, 1.0) if low >= -_SLACK and top <= 1 + _SLACK else (low, top)


def _compared(one: Mask, other: Mask, names: tuple[str, str], measured: Agreement) -> tuple[Panel, Panel]:
    largest = measured.max_abs
    scaled = f"shown x {1 / largest:.1e}" if largest > 0 else "identical to the last bit"
    apart = Panel(
        panels.apart(one, other),
        ((f"max {largest:.1e}", None), (scaled if math.isfinite(largest) else "not finite in one only", None)),
        "difference",
    )
    agreeing = Panel(
        panels.agreeing(one, other),
        (
            (f"both {measured.both:.2%} · IoU {_iou(measured)}", panels.BOTH),
            (f"only {names[0]} {measured.only_torch:.2%}", panels.ONLY_TORCH),
            (f"only {names[1]} {measured.only_converted:.2%}", panels.ONLY_CONVERTED),
        ),
        "agreement of the masks",
    )
    return apart, agreeing


def _range(mask: Mask, low: float, top: float) -> tuple[tuple[str, Colour | None], ...]:
    finite = mask[np.isfinite(mask)]
    if not finite.size:
        return (("no finite value", panels.NOT_FINITE),)
    lines: list[tuple[str, Colour | None]] = [(f"{finite.min():.4g} to {finite.max():.4g}", None)]
    if (low, top) != (0.0, 1.0):
        lines.append((f"black {low:.3g}, white {top:.3g}", None))
    if finite.size < mask.size:
        lines.append((f"not finite: {mask.size - finite.size} pixels", panels.NOT_FINITE))
    return tuple(lines)


def _share(mask: Mask) -> tuple[tuple[str, Colour | None], ...]:
    return ((f"{np.mean(mask >= THRESHOLD):.2%} of all pixels", panels.BOTH),)


def _iou(measured: Agreement) -> str:
    if measured.iou is None:
        return "no mask in either"
    text = f"{measured.iou:.4f}"
    # One pixel of many must not be rounded away.
    return "above 0.9999" if measured.iou < 1 and float(text) == 1 else text
