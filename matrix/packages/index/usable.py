"""Which wheels a CPython on Linux x86-64 with glibc 2.28 takes: the platform that locks are made for."""

from __future__ import annotations

from functools import cache
from itertools import chain

from packaging.tags import Tag, compatible_tags, cpython_tags

from matrix.packages.index.package import ReleasedFile

# manylinux_2_28 is what `locks/resolve.py` asks uv for.
_GLIBC = 28
_OLDEST_GLIBC = 5
_OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


def usable(file: ReleasedFile, python: str) -> bool:
    """Whether this is a wheel for Python `X.Y` and that the file's Requires-Python lets it in. Yanked or not."""
    return file.kind == "wheel" and file.allows(python) and not file.tags.isdisjoint(wheel_tags(python))


@cache
def wheel_tags(python: str) -> frozenset[Tag]:
    """All tags of wheels that Python `X.Y` takes."""
    major, minor = map(int, python.split("."))
    interpreter = f"cp{major}{minor}"
    # PEP 3149's `m` was dropped with Python 3.8.
    abi = f"{interpreter}m" if (major, minor) < (3, 8) else interpreter
    platforms = _platforms()
    return frozenset(
        chain(
            cpython_tags((major, minor), [abi], platforms),
            compatible_tags((major, minor), interpreter, platforms),
        )
    )


def _platforms() -> list[str]:
    names = []
    for glibc in range(_GLIBC, _OLDEST_GLIBC - 1, -1):
        names.append(f"manylinux_2_{glibc}_x86_64")
        if old := _OLD_NAMES.get(glibc):
            names.append(f"{old}_x86_64")
    return names
