"""Ranges of versions: what keeps to them, how two are joined, and the cap that holds a package back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import Version

from matrix.answers.blame.questions import Changed, Ranges

_BELOW, _ABOVE = ("<", "<="), (">", ">=")


def fulfilled(packages: Mapping[str, str], ranges: Ranges) -> bool:
    """Whether every package that is there is within its range."""
    return all(package not in packages or _within(packages[package], spec) for package, spec in ranges)


def merged(first: Ranges, second: Ranges) -> Ranges:
    """What fulfils both, of bounds on the same side only the tighter one."""
    joined = dict(first)
    for package, spec in second:
        joined[package] = _tightest(SpecifierSet(joined.get(package, "")) & SpecifierSet(spec))
    return tuple(sorted(joined.items()))


def exactly(versions: Mapping[str, str]) -> Ranges:
    """These versions and no others."""
    return tuple((package, f"=={version}") for package, version in sorted(versions.items()))


def cap(changed: Changed) -> Ranges:
    """The widest range that keeps `changed.before` and shuts out `changed.after` and what lies beyond it: 3.20.1 that
    became 4.21.1 gives `<4`, 1.10.0 that became 1.6.0 `>=1.10`. None of a package that is newly there or gone, for
    that follows from the packages which need it."""
    if changed.before is None or changed.after is None or changed.before == changed.after:
        return ()
    before, after = Version(changed.before), Version(changed.after)
    if before < after:
        specs = [*(f"<{bound}" for bound in _prefixes(after)), f"<={changed.before}"]
    else:
        specs = [*(f">={bound}" for bound in _prefixes(before)), f">={changed.before}"]
    # No bound divides what differs in its local part only, and an ordered comparison may not name one.
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
    """The place of the first number in which the versions differ: 0 is a new major one. What is newly there or gone
    comes first too."""
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
    """Whether whatever is within `tight` is within `loose` too, of two bounds on the same side."""
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
