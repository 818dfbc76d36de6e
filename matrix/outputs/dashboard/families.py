"""The families of the rows that are shown, as the pages have to know them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matrix.families import Family
from matrix.outputs.dashboard.matrices import version_order
from matrix.outputs.wording.columns import Column, column, columns
from matrix.outputs.wording.legs import leg_words

# The rungs of the converter's ladder, by what it takes.
_STAGES = {
    "onnx": ("lock", "build", "import", "load", "check", "convert", "run", "save", "reload", "compare"),
    "torch": ("lock", "build", "import", "model", "forward", "convert", "save", "reload", "compare"),
}


def documents(families: Iterable[Family]) -> list[dict[str, Any]]:
    """Each of these, as the site lists them."""
    return [_document(family) for family in families]


def _document(family: Family) -> dict[str, Any]:
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
        "legs": [list(leg) for leg in leg_words(family).items()],
    }


def _spellings(family: Family, item: Column) -> set[str]:
    """What else a reader may call a package in a filter."""
    others = {item.name.replace("-", ""), item.title.lower(), item.short.lower(), *family.replaces.get(item.name, ())}
    return {name for name in others if name != item.name and " " not in name}


def packages(families: Iterable[Family]) -> tuple[Column, ...]:
    """The columns of a table of rows: of each family its converter and what runs its artifacts, then the rest."""
    found: dict[str, Column] = {}
    for family in families:
        for name in leading(family):
            found.setdefault(name, column(family, name))
    return tuple(found.values())


def leading(family: Family) -> tuple[str, ...]:
    """Its packages, what says most of a row first."""
    if not family.packages:
        return ()
    wanted = (family.package, family.runtime, *family.packages)
    return tuple(name for name in dict.fromkeys(wanted) if name in family.packages)


def fields(families: Iterable[Family], versions: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """What a user may be fixed on, from torch to Python, each with the newest release measured as a hint."""
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
    return f"any, or {'.'.join(known[-1].split('.')[:2])}" if known else "any"


def variant(family: Family, row: str, versions: Mapping[str, str]) -> str:
    """What a row's id says beyond the versions that name it, `tfp0.16.0`."""
    if not family.packages:
        return ""
    told = family.row_id({name: versions.get(name, "") for name in family.packages}).split("-")
    return "-".join(part for part in row.split("-") if part not in told)


def variant_of_exporter(exporter: str, torch: str) -> str:
    """What an exporter's id says beyond its torch, `dynamo`."""
    rest = exporter.removeprefix(f"torch-{torch}") if torch else ""
    return rest.removeprefix("-")
