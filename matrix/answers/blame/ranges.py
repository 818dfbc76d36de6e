"""Ranges of versions: test them, join them, and cap a package below a version."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import Version

from matrix.answers.blame.types import Changed, Ranges

_BELOW, _ABOVE = ("<", "<="), (">", ">=")


def fulfilled(packages: Mapping[str, str], ranges: Ranges) -> bool:
    """Return whether every listed package that is present is within its range."""
    return all(package not in packages or _within(packages[package], spec) for package, spec in ranges)


def merged(first: Ranges, second: Ranges) -> Ranges:
    """Join two sets of ranges; of bounds on the same side only the tighter one is kept."""
    joined = dict(first)
    for package, spec in second:
        joined[package] = _tightest(SpecifierSet(joined.get(package, "")) & SpecifierSet(spec))
    return tuple(sorted(joined.items()))


def exactly(versions: Mapping[str, str]) -> Ranges:
    """Return ranges that allow exactly these versions."""
    return tuple((package, f"=={version}") for package, version in sorted(versions.items()))


def cap(changed: Changed) -> Ranges:
    """Return the widest range that allows `changed.before` but neither `changed.after` nor anything beyond it: `<4` for
    3.20.1 that became 4.21.1, `>=1.10` for 1.10.0 that became 1.6.0. Empty for a package that was added or removed,
    because that follows from the packages that need it.
    """
    if changed.before is None or changed.after is None or changed.before == changed.after:
        return ()
    before, after = Version(changed.before), Version(changed.after)
    if before < after:
        specs = [*(f"<{bound}" for bound in _prefixes(after)), f"<={changed.before}"]
    else:
        specs = [*(f">={bound}" for bound in _prefixes(before)), f">={changed.before}"]
    # No bound separates versions that differ in their local part only, and ordered comparisons may not name one.
    specs = [spec for spec in specs if "+" not in spec] + [f"!={changed.after}"]
    return next(
        (
            ((changed.package, spec),)
            for spec in specs
            if _within(changed.before, spec) and not _within(changed.after, spec)
        ),
        (),
    )


def distance(changed: Changed) -> int:
    """Return the position of the first number in which the versions differ: 0 for a new major version, and for a
    package that was added or removed.
    """
    if changed.before is None or changed.after is None:
        return 0
    before, after = Version(changed.before), Version(changed.after)
    if before.epoch != after.epoch:
        return 0
    for place, (one, other) in enumerate(zip(before.release, after.release, strict=False)):
        if one != other:
            return place
    return min(len(before.release), len(after.release))


def _prefixes(version: Version) -> list[str]:
    epoch = f"{version.epoch}!" if version.epoch else ""
    numbers = [str(number) for number in version.release]
    return [epoch + ".".join(numbers[:length]) for length in range(1, len(numbers) + 1)]


def _tightest(specifiers: SpecifierSet) -> str:
    different = set(specifiers)
    kept = [one for one in different if not any(_implies(other, one) for other in different if other != one)]
    return ",".join(sorted(str(one) for one in kept))


def _implies(tight: Specifier, loose: Specifier) -> bool:
    """Return whether `tight` is the tighter of two bounds on the same side."""
    for side, sign in ((_BELOW, 1), (_ABOVE, -1)):
        if tight.operator in side and loose.operator in side:
            one, other = Version(tight.version), Version(loose.version)
            if one == other:
                return len(tight.operator) < len(loose.operator)
            return (one < other) == (sign == 1)
    return False


@lru_cache(maxsize=50_000)
def _within(version: str, spec: str) -> bool:
    return SpecifierSet(spec).contains(version, prereleases=True)
