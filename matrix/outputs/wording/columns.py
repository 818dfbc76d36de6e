"""The columns that name a row: its family and the packages of the families that are shown, in their order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from matrix.families import Family, in_order

_CAMEL = re.compile(r"(?:[A-Z][a-z]+){2,}")


@dataclass(frozen=True)
class Column:
    """A package: `title` is its name as people write it, `short` the same where space is scarce."""

    name: str
    title: str
    short: str


@dataclass(frozen=True)
class RowColumns:
    """The columns that name the rows of a table; the family is named only if there are several."""

    families: tuple[Family, ...]
    packages: tuple[Column, ...]

    @classmethod
    def of(cls, families: Iterable[Family]) -> RowColumns:
        """Return the columns for rows of these families."""
        found = ordered(families)
        return cls(found, columns(found))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the headings for a terminal."""
        return (*self._of_family("family"), *(item.name for item in self.packages))

    @property
    def titles(self) -> tuple[str, ...]:
        """Return the headings for a page."""
        return (*self._of_family("family"), *(item.title for item in self.packages))

    def fields(self, family: Family, versions: Mapping[str, str | None]) -> tuple[str, ...]:
        """Return the fields of one row; '' for a package that it does not have."""
        return (*self._of_family(family.name), *(versions.get(item.name) or "" for item in self.packages))

    def _of_family(self, text: str) -> tuple[str, ...]:
        return (text,) if len(self.families) > 1 else ()


def ordered(families: Iterable[Family]) -> tuple[Family, ...]:
    """Return each family once: ours first, last those that are no longer installed."""
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


def described(family: Family, known: Mapping[str, str | None]) -> str:
    """Describe a row by its converter and runtime: `onnx-tf 1.10.0 with TensorFlow 2.8.0`."""
    if not family.packages:
        return family.title
    converter = f"{family.title} {known.get(family.package) or '?'}"
    if family.runtime == family.package or family.runtime not in family.packages:
        return converter
    return f"{converter} with {family.title_of(family.runtime)} {known.get(family.runtime) or '?'}"
