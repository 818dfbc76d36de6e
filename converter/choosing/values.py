"""Candidate values for the inputs of an .onnx file: half-open ranges to draw from, by what the graph does with them."""

import re

import numpy

_MASK = re.compile(r"mask|valid|padding", re.I)
_LENGTH = re.compile(r"len(gth)?s?\b|len(gth)?s?$|_len", re.I)
_RATE = re.compile(r"^sr$|sampl\w*_?rate", re.I)
_TIME = re.compile(r"^t$|timestep", re.I)

# Ranges of real numbers: normalised data, pictures from 0 to 1, pictures as bytes, logarithms and quiet sound.
_REAL = ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-10.0, 0.0), (-0.05, 0.05))
_WHOLE = {"uint8": (0.0, 256.0), "int8": (-128.0, 128.0), "uint16": (0.0, 256.0), "int16": (-2000.0, 2000.0)}


class Values:
    """How an input is filled: `range` for its values; with `length_of`, the size of that axis instead, (name, axis)."""

    def __init__(self, low, high, why="", length_of=None):
        self.low, self.high = float(low), float(high)
        self.why = why
        self.length_of = length_of

    def bounds(self, shapes):
        """Return (low, high) given {input: shape}."""
        if self.length_of is None:
            return self.low, self.high
        name, axis = self.length_of
        return float(shapes[name][axis]), float(shapes[name][axis] + 1)


def candidates(item, inputs, structure):
    """Return the Values to try for an input, the most sensible first."""
    name, dtype, shape = item["name"], item["dtype"], item["shape"]
    if dtype == "bool":
        return [Values(0, 2, "bits")]
    rows = structure.rows(name)
    if dtype.startswith("float"):
        # Some writers feed indices as real numbers, and cast them.
        index = [Values(0, rows, "an index into %d rows" % rows)] if rows is not None else []
        return index + [Values(low, high) for low, high in _REAL]
    if dtype in _WHOLE:
        return [Values(*_WHOLE[dtype])]
    compared = [value for value in structure.compared_with(name) if 1 < value < 2**31]
    if compared and all(size == 1 for size in shape):
        return [Values(value, value + 1, "the graph compares it with %d" % value) for value in sorted(compared)[::-1]]
    if _RATE.search(name) and all(size == 1 for size in shape):
        return [Values(16000, 16001, "a sample rate"), Values(8000, 8001, "a sample rate")]
    if _MASK.search(name):
        return [Values(1, 2, "a mask that leaves out nothing")]
    if rows is not None:
        return [Values(0, rows, "an index into %d rows" % rows)]
    if _LENGTH.search(name) and len(shape) <= 1:
        other = _longest(item, inputs)
        if other is not None:
            return [Values(1, 2, "the length of %s" % other[0], other)]
    if _TIME.search(name):
        return [Values(1, 100)]
    if structure.is_shape(name):
        return [Values(2, 3, "a size"), Values(1, 2, "a size")]
    return [Values(0, 2), Values(0, 100), Values(1, 2), Values(0, 1)]


def _longest(item, inputs):
    """Return the axis that a length may be about, (name, axis): the last open one of the largest other input."""
    for other in sorted(inputs, key=lambda one: -len(one["shape"])):
        axes = [axis for axis, size in enumerate(other["shape"]) if not isinstance(size, int)]
        if other is not item and axes and len(other["shape"]) > 1:
            return other["name"], axes[-1]
    return None


def drawn(dtype, shape, bounds, seed):
    """Return values for a trial: uniform over the half-open range."""
    unit = numpy.random.RandomState(seed).random_sample(int(numpy.prod(shape)))
    values = bounds[0] + unit * (bounds[1] - bounds[0])
    if dtype == "bool":
        return (unit >= 0.5).reshape(shape)
    if dtype.startswith(("int", "uint")):
        values = numpy.floor(values)
    return values.astype(dtype).reshape(shape)
