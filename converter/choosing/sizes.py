"""Candidate sizes for the axes that a file leaves open, the most sensible first.

A label that several axes share is one size. Sizes are chosen for a group of axes at a time, such as height and width.
"""

import re
from itertools import islice, product

_BATCH = re.compile(r"batch", re.I)
_PAST = re.compile(r"past|cache|mem_len|prev", re.I)
_STATE = re.compile(r"state|hidden|cell|^[hc]_?\d*$|^[hc]_(in|prev|0)", re.I)
_SOUND = re.compile(r"audio|wav|sound|speech|sample|signal|pcm", re.I)

# Pairs of height and width, in units of what the file shrinks its input by; then what published networks take.
_IMAGES = ((3, 5), (2, 3), (5, 7), (7, 10))
_PUBLISHED = ((224, 224), (48, 320), (32, 320), (640, 640), (32, 128), (64, 160), (256, 256), (320, 320), (416, 416),
              (64, 64), (112, 112), (128, 128), (160, 160), (28, 28), (299, 299), (384, 384), (512, 512),
              (1024, 1024))  # fmt: skip
_WIDTHS = (160, 320, 96, 224, 256, 128, 640, 64, 32, 512)
_LENGTHS = (24, 40, 16, 10, 64, 100, 128, 7, 12, 32, 50, 80, 200, 256, 5, 2, 300, 400, 512, 1000, 1024, 4, 1)
_SOUNDS = (16000, 8000, 512, 32000, 48000, 1024, 4096, 160000, 22050, 256, 44100, 480000, 1280, 640)
_BATCHES = (1, 2)
_PASTS = (6, 4, 1, 0, 16)
_CHANNELS = (3, 1, 4, 2, 8, 16, 32, 64)


class Group:
    """Axes whose sizes are chosen together: the `labels`, and `candidates`, tuples with a size for each."""

    def __init__(self, labels, candidates):
        self.labels = tuple(labels)
        self.candidates = tuple(candidates)


def label_of(name, axis, size):
    """Return what an open axis of an input is called: its own label, or one after its place. Some writers label every
    open axis with the same sign."""
    return size if isinstance(size, str) and re.search(r"\w", size) and size != "None" else "%s[%d]" % (name, axis)


def groups(inputs, unit):
    """Return the groups of open axes of inputs, each {"name", "shape", "dtype", "real"}; a string or None in a shape is
    open, `real` says that the values are no indices.

    `unit` is the factor by which the graph shrinks its input.
    """
    fixed = {size for item in inputs for size in item["shape"] if isinstance(size, int) and size > 1}
    found = []
    known = set()
    # Axes of the same kind often have the same size, although the file gives them different labels, or none.
    batches = []
    lengths: dict = {}
    for item in inputs:
        shape = item["shape"]
        labels = [
            None if isinstance(size, int) else label_of(item["name"], axis, size) for axis, size in enumerate(shape)
        ]
        fresh = [axis for axis, label in enumerate(labels) if label is not None and label not in known]
        known.update(labels)
        spatial = _spatial(shape)
        picture = [axis for axis in fresh if axis in spatial and not _PAST.search(str(labels[axis]))]
        for axis in fresh:
            if axis in picture:
                continue
            if _is_batch(item, axis, labels[axis]):
                batches.append(labels[axis])
            else:
                lengths.setdefault(_single(item, axis, labels[axis], fixed, unit), []).append(labels[axis])
        if len(picture) == 2 and labels[picture[0]] != labels[picture[1]]:
            unit_ = unit if 8 <= unit <= 64 else 16 if unit < 8 else 32
            made = [(high * unit_, wide * unit_) for high, wide in _IMAGES]
            found.append(Group([labels[axis] for axis in picture], _unique(made + list(_PUBLISHED))))
        elif picture:
            sizes = [size for pair in _PUBLISHED for size in pair[:1]] if len(picture) == 2 else list(_WIDTHS)
            found.append(Group([labels[picture[0]]], _unique((size,) for size in _apart(sizes, fixed))))
    for sizes, labels in lengths.items():
        found.append(Group(labels, _together(sizes, len(labels))))
    if batches:
        found.append(Group(batches, [(size,) * len(batches) for size in _BATCHES]))
    return found


def _together(sizes, number):
    """Return sizes for so many axes: different ones first, then the same for all."""
    differing = [tuple(sizes[start : start + number]) for start in range(2)] if number > 1 else []
    return [one for one in differing if len(one) == number] + [(size,) * number for size in sizes]


def _spatial(shape):
    """Return the axes of height and width (and depth) of a shape that looks like an image's, () for others."""
    if len(shape) != 4:
        return ()
    first, last = shape[1], shape[3]
    if isinstance(last, int) and last in (1, 3, 4) and not (isinstance(first, int) and first in (1, 3, 4)):
        return 1, 2
    if isinstance(first, int) or not isinstance(last, int):
        return 2, 3
    return ()


def _is_batch(item, axis, label):
    """Whether an axis counts samples: by its label, as the first one, or as the second one of a recurrent state."""
    rank = len(item["shape"])
    if _BATCH.search(label) is not None or (axis == 0 and rank > 1 and not _is_length(label)):
        return True
    return axis == 1 and rank == 3 and _STATE.search(item["name"]) is not None


def _single(item, axis, label, fixed, unit):
    """Return candidate sizes for one axis, a tuple."""
    shape = item["shape"]
    if _PAST.search(label):
        return _PASTS
    if len(shape) == 4 and axis == 1:
        return _CHANNELS
    real = item["real"]
    sound = real and (_SOUND.search("%s %s" % (label, item["name"])) or len(shape) == axis + 1 <= 2)
    lengths = [3 * unit, 5 * unit, *_LENGTHS] if real and unit > 1 else list(_LENGTHS)
    return tuple(_unique(_apart([*_SOUNDS, *lengths] if sound else lengths, fixed)))


def _is_length(label):
    return re.search(r"seq|len|time|frame|step|token", label, re.I) is not None


def _apart(sizes, fixed):
    """Put the sizes that no other axis has first: of two equal extents, one may pass for the other."""
    return sorted(sizes, key=lambda size: size in fixed)


def _unique(items):
    found = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def assignments(found, most):
    """Yield {label: size}, at most `most`, those of the first candidates first."""
    if not found:
        yield {}
        return
    ranges = [range(min(len(group.candidates), most)) for group in found]
    ordered = sorted(islice(product(*ranges), 200000), key=lambda places: (sum(places), max(places)))
    for places in ordered[:most]:
        yield {
            label: size
            for group, place in zip(found, places)
            for label, size in zip(group.labels, group.candidates[place])
        }


def resolved(item, sizes):
    """Return the shape of an input with its open axes filled in."""
    return [
        size if isinstance(size, int) else sizes[label_of(item["name"], axis, size)]
        for axis, size in enumerate(item["shape"])
    ]
