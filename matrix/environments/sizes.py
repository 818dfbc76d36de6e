"""Estimate how large an environment is, before it is built."""

from __future__ import annotations

from fnmatch import fnmatchcase

from packaging.specifiers import SpecifierSet

from matrix.families.registry import heavy_packages
from matrix.packages.lock import Lock

# Upper bound of the megabytes a package takes on the engine while its image is built: once unpacked in the package
# cache, and once with its .pyc files in the layer. Measured over the committed locks, rounded up; the first match
# counts, after those of the families.
_MEGABYTES: tuple[tuple[str, str, int], ...] = (
    ("torch", "", 3300),
    ("nvidia-*", "", 700),
    ("triton", "", 1200),
    ("onnxruntime", "", 200),
    ("scipy", "", 200),
    ("numpy", "", 160),
    ("libclang", "", 120),
    ("sympy", "", 150),
    ("cuda-*", "", 100),
    ("onnx", "", 90),
    ("*", "", 9),
)


def megabytes(lock: Lock) -> int:
    """Return an upper estimate of the megabytes that building an image of a lock takes, with nothing cached."""
    return sum(_of(name, version) for name, version in lock.packages.items())


def _of(name: str, version: str) -> int:
    of_families = ((name, versions, size) for versions, size in heavy_packages().get(name, ()))
    return next(
        size
        for pattern, versions, size in (*of_families, *_MEGABYTES)
        if fnmatchcase(name, pattern) and SpecifierSet(versions, prereleases=True).contains(version)
    )
