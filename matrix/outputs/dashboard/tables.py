"""Exporters and rows as the site lists them: those of the table, and those that only history knows."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matrix.app.project import Project
from matrix.families import family_named, family_of
from matrix.judging.cells import CellResult
from matrix.outputs.dashboard.cells import Place
from matrix.outputs.dashboard.families import variant_of_exporter
from matrix.outputs.dashboard.matrices import version_order
from matrix.outputs.dashboard.rows import RowFacts, site_order
from matrix.packages.versions import version_of
from matrix.table.exporters import expand
from matrix.table.ids import FIRST_FAMILY, RowId


class SiteTable:
    """Takes the newest results in: what was installed says most of a row that is in no table any more."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._rows = {row.id: row for row in project.config.converters}
        self._versions: dict[str, dict[str, str]] = {}
        self._python: dict[str, str] = {}
        self._exporter_python: dict[str, str] = {}
        self._distributions: dict[str, str] = {}
        self._families: dict[str, str] = {}
        self._writes: dict[str, bool] = {}

    @property
    def known(self) -> tuple[list[str], list[str], list[str], list[str]]:
        """Models, exporters, rows and tiers that a command may name."""
        config = self._project.stated
        return (
            [model.id for model in config.models],
            [exporter.id for exporter in expand(config)],
            [row.id for row in config.converters],
            list(config.tiers),
        )

    def take(self, result: CellResult) -> None:
        record = result.record
        self._writes[RowId.parse(record.exporter).stem] = record.cell_id.has_exporter
        if not RowId.parse(record.exporter).time and result.export.python and record.cell_id.has_exporter:
            self._exporter_python.setdefault(record.exporter, ".".join(result.export.python.split(".")[:2]))
        if RowId.parse(record.converter).time:
            return
        self._distributions |= result.distributions
        self._families[record.converter] = result.family.name
        versions = self._versions.setdefault(record.converter, {})
        for package, version in result.versions.items():
            if version:
                versions.setdefault(package, version)
        if result.python:
            self._python.setdefault(record.converter, result.python)

    def exporters(self, places: Mapping[str, Place]) -> list[dict[str, Any]]:
        """Of every exporter that has a cell; by torch version, then id."""
        found = {place.exporter: place.torch for place in places.values()}
        return [
            {
                "id": name,
                "torch": torch,
                "python": self._exporter_python.get(name, ""),
                "writes": self._writes.get(name, True),
                "variant": variant_of_exporter(name, torch),
            }
            for name, torch in sorted(found.items(), key=lambda item: (version_order(item[1]), item[0]))
        ]

    def pins(self, exporters: Sequence[Mapping[str, Any]], rows: Sequence[RowFacts]) -> dict[str, dict[str, str]]:
        """By position, what to install of each: the distributions that were measured."""
        return {
            "exporters": {
                str(place): shlex.quote(f"torch=={item['torch']}")
                for place, item in enumerate(exporters)
                if item["torch"]
            },
            "converters": {
                str(place): shlex.join(
                    f"{self._distributions.get(package, package)}=={version}"
                    for package, version in {**item.versions, **item.further}.items()
                    if version
                )
                for place, item in enumerate(rows)
            },
        }

    def rows(self, names: Iterable[str]) -> list[RowFacts]:
        """In the order of the site."""
        return sorted((self._facts(name) for name in set(names)), key=site_order)

    def _facts(self, name: str) -> RowFacts:
        row, lock = self._rows.get(name), self._project.locks.get(name)
        measured = self._versions.get(name, {})
        made = family_of(row) if row else family_named(self._families.get(name, FIRST_FAMILY))
        stated = {package: version_of(row, package, self._project.locks) if row else None for package in made.packages}
        return RowFacts(
            name,
            {package: stated[package] or measured.get(package) or "" for package in made.packages},
            (lock.python if lock else "") or self._python.get(name, ""),
            row.note if row else "",
            row is not None,
            lock,
            {package: pin for package, pin in (row.pins if row else {}).items() if package not in made.packages},
            made,
        )
