"""What packages are to the families that there are."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from matrix.families.family import Family
from matrix.families.registry import KNOWN


@cache
def heavy_packages() -> dict[str, tuple[tuple[str, int], ...]]:
    """Return what `Family.heavy` says of every package; of one that several families name, the first counts."""
    found: dict[str, tuple[tuple[str, int], ...]] = {}
    for made in KNOWN.values():
        found = {**made.heavy, **found}
    return found


@cache
def telling_packages() -> tuple[str, ...]:
    """Return the packages that name rows, and the distributions in their place, in the order of their names."""
    return distributions(KNOWN.values())


def distributions(families: Iterable[Family]) -> tuple[str, ...]:
    """Return the same of these families."""
    found = {name for made in families for one in made.packages for name in (one, *made.replaces.get(one, ()))}
    return tuple(sorted(found))


def exclusive(families: Iterable[Family]) -> tuple[frozenset[str], ...]:
    """Return the groups of distributions of which an environment may hold no more than one: they install the same
    files, and which of them is measured would depend on the order of installation."""
    groups = {frozenset((package, *others)) for made in families for package, others in made.replaces.items()}
    return tuple(sorted(groups, key=sorted))
