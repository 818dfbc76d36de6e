"""Detect outputs without a finite number, which cannot be compared, and weights that are NaN."""

import numpy


class NothingFinite(ValueError):
    pass


def check_finite(cases, named_weights=None):
    """Raise NothingFinite if a non-empty output of a case, a dict {name: array}, has no finite element.

    `named_weights()` returns (name, array) pairs; only then are they searched for NaN.
    """
    for number, case in enumerate(cases):
        for name, array in case.items():
            array = numpy.asarray(array)
            if array.dtype.kind in "fc" and array.size and not numpy.isfinite(array).any():
                blame = _blame(named_weights()) if named_weights else ""
                raise NothingFinite("output %r of case %d has not one finite number%s" % (name, number, blame))


def has_nan(array):
    array = numpy.asarray(array)
    return array.dtype.kind in "fc" and bool(numpy.isnan(array).any())


def _blame(named_weights):
    guilty = [name for name, values in named_weights if has_nan(values)]
    if not guilty:
        return "; no weight is NaN, so the computation makes it"
    more = " and %d more" % (len(guilty) - 5) if len(guilty) > 5 else ""
    return "; weights hold NaN: %s%s" % (", ".join(guilty[:5]), more)
