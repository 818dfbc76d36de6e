"""The families of the rows that are shown, as the pages need them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matrix.families import Family
from matrix.outputs.dashboard.matrices import version_order
from matrix.outputs.dashboard.schema import FamilyShape
from matrix.outputs.wording.columns import Column, column, columns
from matrix.outputs.wording.legs import leg_words
from matrix.packages.versions import minor

# The stages of a conversion, by its source.
_STAGES = {
    "onnx": ("lock", "build", "import", "load", "check", "convert", "run", "save", "reload", "compare"),
    "torch": ("lock", "build", "import", "model", "forward", "convert", "save", "reload", "compare"),
}


def document(family: Family) -> FamilyShape:
    """Return a family as the site lists it."""
    return {
        "name": family.name,
        "title": family.title,
        "source": family.source,
        "package": family.package if family.packages else None,
        "runtime": family.runtime,
        "packages": [
            {"name": item.name, "title": item.title, "short": item.short, "also": sorted(_spellings(family, item))}
            for item in columns([family])
        ],
        "newest": list(family.order),
        "stages": list(_STAGES[family.source]),
        "legs": list(leg_words(family).items()),
    }


def _spellings(family: Family, item: Column) -> set[str]:
    """Return the other names of a package that a filter accepts."""
    others = {item.name.replace("-", ""), item.title.lower(), item.short.lower(), *family.replaces.get(item.name, ())}
    return {name for name in others if name != item.name and " " not in name}


def packages(families: Iterable[Family]) -> tuple[Column, ...]:
    """Return the columns of a table of rows: of each family the converter, the runtime, then the rest."""
    found: dict[str, Column] = {}
    for family in families:
        for name in (family.package, family.runtime, *family.packages):
            if name in family.packages:
                found.setdefault(name, column(family, name))
    return tuple(found.values())


def fields(families: Iterable[Family], versions: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return what a user may have to keep, from torch to Python, with the newest release measured as a hint."""
    found: dict[str, Column] = {}
    for family in families:
        for name in dict.fromkeys((family.reads, *family.packages)):
            if name in family.packages:
                found.setdefault(name, column(family, name))
    wanted = [("torch", "torch"), *((item.name, item.title) for item in found.values() if item.name != "torch")]
    return [
        {"name": name, "title": title, "hint": _hint(name, versions)} for name, title in (*wanted, ("python", "Python"))
    ]


def _hint(name: str, versions: Sequence[Mapping[str, str]]) -> str:
    known = sorted({item[name] for item in versions if item.get(name)}, key=version_order)
    return f"any, or {minor(known[-1])}" if known else "any"


def variant(family: Family, row: str, versions: Mapping[str, str]) -> str:
    """Return the part of a row's id beside the versions that name it, `tfp0.16.0`."""
    if not family.packages:
        return ""
    named = family.row_id({name: versions.get(name, "") for name in family.packages}).split("-")
    return "-".join(part for part in row.split("-") if part not in named)


def variant_of_exporter(exporter: str, torch: str) -> str:
    """Return the part of an exporter's id after its torch, `dynamo`."""
    rest = exporter.removeprefix(f"torch-{torch}") if torch else ""
    return rest.removeprefix("-")
