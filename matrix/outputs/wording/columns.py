"""What names a row, as columns: the packages of the families that are shown, in the families' order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from matrix.families import Family, in_order
from matrix.judging.cells import CellResult

_CAMEL = re.compile(r"(?:[A-Z][a-z]+){2,}")


@dataclass(frozen=True)
class Column:
    """A package: `title` is its name as people write it, `short` the same where there is little room."""

    name: str
    title: str
    short: str


def families_of(results: Iterable[CellResult]) -> tuple[Family, ...]:
    """Return the families of these results in their order."""
    return ordered(result.family for result in results)


def ordered(families: Iterable[Family]) -> tuple[Family, ...]:
    """Return each family once: ours first, last those that no package brings any more."""
    named = {family.name: family for family in families}
    known = [family.name for family in in_order(named)]
    return tuple(named[name] for name in dict.fromkeys((*known, *sorted(named))))


def columns(families: Sequence[Family]) -> tuple[Column, ...]:
    """Return the packages that name the rows of these families, each once."""
    found: dict[str, Column] = {}
    for family in families:
        for package in family.packages:
            found.setdefault(package, column(family, package))
    return tuple(found.values())


def column(family: Family, package: str) -> Column:
    """Return a package as this family titles it."""
    title = family.title_of(package)
    return Column(package, title, shortened(title))


def shortened(title: str) -> str:
    """Return the initials of a name in camel case, `TF`; any other name as it is."""
    return "".join(re.findall("[A-Z]", title)) if _CAMEL.fullmatch(title) else title


def versions(columns: Sequence[Column], known: Mapping[str, str | None]) -> tuple[str, ...]:
    """Return what stands in these columns for a row; '' where it has no such package."""
    return tuple(known.get(item.name) or "" for item in columns)


def described(family: Family, known: Mapping[str, str | None]) -> str:
    """Print a row's converter and what runs its artifacts: `onnx-tf 1.10.0 with TensorFlow 2.8.0`."""
    if not family.packages:
        return family.title
    said = f"{family.title} {known.get(family.package) or '?'}"
    if family.runtime == family.package or family.runtime not in family.packages:
        return said
    return f"{said} with {family.title_of(family.runtime)} {known.get(family.runtime) or '?'}"
