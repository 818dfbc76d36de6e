"""Exporters and rows as the site lists them: those of the table, and those found in history only."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from matrix.app.project import Project
from matrix.families import family_named, family_of
from matrix.judging.cells import CellResult
from matrix.outputs.dashboard.cells import THEN, Place
from matrix.outputs.dashboard.families import variant_of_exporter
from matrix.outputs.dashboard.matrices import version_order
from matrix.outputs.dashboard.rows import RowFacts, site_order
from matrix.outputs.dashboard.schema import ExporterShape, PinsShape
from matrix.packages.versions import minor, version_of
from matrix.store import RunRecord
from matrix.table.exporters import expand
from matrix.table.ids import FIRST_FAMILY, CellId, RowId


class SiteTable:
    """Takes the newest results: the installed packages describe a row that is no longer in the table."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._rows = {row.id: row for row in project.config.converters}
        config = project.stated
        self._named = (
            {model.id for model in config.models},
            {exporter.id for exporter in expand(config)},
            {row.id for row in config.converters},
        )
        self._versions: dict[str, dict[str, str]] = {}
        self._python: dict[str, str] = {}
        self._exporter_python: dict[str, str] = {}
        self._distributions: dict[str, str] = {}
        self._families: dict[str, str] = {}
        self._writes: dict[str, bool] = {}

    def take(self, result: CellResult) -> None:
        """Take one result."""
        record = result.record
        self._writes[RowId.parse(record.exporter).stem] = record.cell_id.has_exporter
        if not RowId.parse(record.exporter).time and result.export.python and record.cell_id.has_exporter:
            self._exporter_python.setdefault(record.exporter, minor(result.export.python))
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

    def exporters(self, places: Mapping[str, Place]) -> list[ExporterShape]:
        """Return every exporter that has a cell, by torch version, then id."""
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

    def pins(self, exporters: Sequence[ExporterShape], rows: Sequence[RowFacts]) -> PinsShape:
        """Return what to install for each, by position: the distributions that were measured."""
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

    def commands(self, cell: str, place: Place, run: RunRecord) -> list[str]:
        """Return the commands that measure a cell again as this run did, and that install its converter."""
        commands = []
        if all(
            name in names
            for name, names in zip((place.model, place.exporter, place.converter), self._named, strict=True)
        ):
            tier = run.tier if run.tier in self._project.stated.tiers else "full"
            only = shlex.quote(f"cell={CellId.parse(cell).own}")
            now = f" --resolution now --as-of {run.as_of}" if place.time != THEN and run.as_of else ""
            commands.append(f"python -m matrix run --tier {tier} --only {only}{now} --again")
        if place.python:
            # The Cell page offers the lock, to be saved as env.lock.
            commands.append(
                f"uv venv --python {shlex.quote(place.python)} env && uv pip install --python env/bin/python --no-deps "
                "--require-hashes -r env.lock"
            )
        return commands

    def rows(self, names: Iterable[str]) -> list[RowFacts]:
        """Return these rows in the order of the site."""
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
