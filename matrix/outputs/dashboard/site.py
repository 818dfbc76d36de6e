"""The whole site: read history once, make every page and shard, then replace the old site."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from matrix import __version__
from matrix.answers.operators.coverage import Coverage
from matrix.answers.operators.stored import Coverages, Unmeasured
from matrix.app.project import Project
from matrix.core.errors import NothingSelected, UsageError
from matrix.history import Conclusion, History, read_history
from matrix.judging.cells import CellResult, Judge
from matrix.judging.finding import INDETERMINATE
from matrix.outputs.dashboard import blames, counting, families, feed, matrices, reasons, rows, runs
from matrix.outputs.dashboard.badges import Badge
from matrix.outputs.dashboard.cells import Cells
from matrix.outputs.dashboard.changes import Changes, regressions
from matrix.outputs.dashboard.counting import RowTally, Tally
from matrix.outputs.dashboard.coverages import write_coverages
from matrix.outputs.dashboard.environments import Environments
from matrix.outputs.dashboard.folder import replaced
from matrix.outputs.dashboard.logs import Logs
from matrix.outputs.dashboard.observed import Observed
from matrix.outputs.dashboard.pages import SINGLE, Pages, copy_assets
from matrix.outputs.dashboard.schema import (
    SCHEMA,
    ConclusionShape,
    Converter,
    CoverageSummary,
    ExporterShape,
    ModelShape,
    Site,
    json_schema,
)
from matrix.outputs.dashboard.shards import Shards, encode, slug
from matrix.outputs.dashboard.tables import SiteTable
from matrix.outputs.documents.coverage import beside
from matrix.outputs.documents.run import finding_words
from matrix.outputs.privacy import Public, SiteCleaner
from matrix.outputs.wording.columns import ordered
from matrix.outputs.wording.words import VERDICTS
from matrix.store import Store
from matrix.table.ids import NOW, RowId

TITLE = "PyTorch → ONNX → TensorFlow compatibility"


@dataclass(frozen=True)
class SiteRequest:
    """`include` names models that may be shown although the table does not declare them; `base` is the address of the
    site, '' if unknown."""

    out: Path
    include: tuple[str, ...] = ()
    title: str = TITLE
    base: str = ""


@dataclass(frozen=True)
class Built:
    """The size of the site. `left_out` counts the cells of private models."""

    runs: int
    cells: int
    left_out: int
    files: int
    bytes: int


def build(project: Project, store: Store, wanted: SiteRequest) -> Built:
    """Build the site.

    Raises NothingSelected if there is nothing to show, and UsageError for an unknown model or a folder that cannot be
    replaced.
    """
    with replaced(wanted.out) as folder:
        site = _Builder(project, store, wanted, folder)
        history = site.read()
        site.write(history)
        files = [path for path in folder.rglob("*") if path.is_file()]
        return Built(
            len(history.runs),
            len(history.timelines),
            len(site.public.left_out),
            len(files),
            sum(path.stat().st_size for path in files),
        )


class _Builder:
    def __init__(self, project: Project, store: Store, wanted: SiteRequest, folder: Path) -> None:
        self._project, self._store, self._wanted, self._folder = project, store, wanted, folder
        self.public = Public((model.id for model in project.stated.models), wanted.include)
        self._cleaner = SiteCleaner(project.state.root, project.table.parent, encode)
        self._shards = Shards(folder / "data")
        self._logs = Logs(store.blobs, self._cleaner, self._shards)
        numbered = {run.id: run for run in store.runs()}
        environments = Environments(store, project.locks, numbered, self._cleaner, self._shards)
        observed = Observed(self._logs, environments, self._cleaner)
        self._cells = Cells(folder / "spill", observed, environments.installable, self._cleaner)
        self._reasons = reasons.Reasons()
        self._table = SiteTable(project)

    def _take(self, result: CellResult, _: int) -> None:
        for taker in (self._cells, self._reasons, self._table):
            taker.take(result)

    def read(self) -> History:
        """Read history, taking in the newest result of every cell."""
        project = self._project
        judge = Judge(project.config, self._store)
        history = read_history(self._store, judge, project.locks, self._take, self.public.cell, project.has_row)
        if unknown := self.public.unknown(self._wanted.include):
            raise UsageError(
                f"--include {', '.join(unknown)}: no run has a cell of this model; `status` lists the models"
            )
        if not history.timelines:
            private = len(self.public.left_out)
            why = f"only {private} cells of models that are not in {project.table}" if private else "no cells yet"
            what = "name those to show with --include NAME" if private else "start a run: python -m matrix run"
            raise NothingSelected(f"{project.state.root} holds {why}; {what}")
        self._logs.close()
        return history

    def write(self, history: History) -> None:
        """Write every page and every other shard."""
        folder, store, shards, cleaner, wanted = self._folder, self._store, self._shards, self._cleaner, self._wanted
        table, places = self._table, self._cells.places
        counts = counting.count(history, places)
        tallied = counting.tally(history, places)
        config = self._project.config
        covered = list(Coverages(config, store).stored([row.id for row in config.converters]).values())
        exporters = table.exporters(places)
        measured = [item.converter for item in covered if isinstance(item, Coverage)]
        facts = table.rows([*tallied.rows, *measured])
        positions = {item.id: number for number, item in enumerate(facts)}
        exporter_at = {item["id"]: number for number, item in enumerate(exporters)}
        blamed = blames.gather(store, [cell for cell in places if places[cell].time], folder / "pictures", cleaner)
        changes = Changes(store, history, blamed)
        pages_of = {item.id: rows.page(item.id) for item in facts}
        found = self._reasons.documents(history, pages_of.get, cleaner)
        titles = reasons.summary(found)
        jobs = runs.jobs_of(store, history, self.public)
        shown = ordered(item.family for item in facts)

        about: Site = {
            "schema": SCHEMA,
            "generated": dt.datetime.now(dt.UTC).replace(microsecond=0).isoformat(),
            "title": wanted.title,
            "version": __version__,
            "runs": [
                runs.document(history, run, counts, changes, jobs, self.public) for run in range(len(history.runs))
            ],
            "models": _models(tallied),
            "families": list(map(families.document, shown)),
            "exporters": exporters,
            "converters": [_converter(item, pages_of[item.id], tallied) for item in facts],
            "conclusions": [_conclusion(item) for item in history.conclusions],
            "reasons": titles,
            "verdicts": [{"id": name, "text": name, "indeterminate": name in INDETERMINATE} for name in VERDICTS],
            "cell_shards": self._cells.shard_count(),
            "regressions": regressions(history, changes),
        }
        site: Site = cleaner.data(about)
        shards.write("site", site)
        matrices.write_matrices(history, places, exporter_at, positions, shards, cleaner.text)
        pins = table.pins(exporters, facts)
        pick = matrices.toolchains(history, places, exporter_at, positions, sorted(tallied.models), pins)
        shards.write("pick", cleaner.data(pick))
        shards.write("trends", cleaner.data(runs.trends(history, counts, jobs)))
        changes.write(shards, cleaner)
        coverage = write_coverages(
            [item for item in covered if isinstance(item, Coverage)],
            [item for item in covered if isinstance(item, Unmeasured)],
            {item.id: beside(item.family, item.versions) for item in facts},
            shards,
            cleaner.data,
        )
        data = {cell: blame.data for cell, blame in blamed.items()}
        self._cells.write(shards, history, data, table.commands)
        self._cells.close()
        (folder / "spill").unlink()
        (folder / "data" / "schema.json").write_text(json.dumps(json_schema(), indent=1) + "\n", encoding="utf-8")

        drifts = rows.drifts(history, places, _reports(store, history))
        shares = {
            row["row"]: {"match": row["match"], "cases": row["cases"], "share": row["share"]}
            for row in coverage["rows"]
        }
        documents = [
            cleaner.data(
                rows.document(
                    item,
                    tallied.rows.get(item.id, RowTally()),
                    counts,
                    history,
                    titles,
                    drifts.get(item.id),
                    shares.get(item.id),
                    wanted.base,
                )
            )
            for item in facts
        ]
        listing = {
            "packages": families.packages(shown),
            "several": len(shown) > 1,
            "fields": families.fields(shown, _known(exporters, facts)),
        }
        generated = dt.datetime.fromisoformat(site["generated"])
        news = feed.context(wanted.title, wanted.base, generated, feed.entries(history, changes), cleaner.text)
        _pages(folder, site, documents, found, coverage, listing, news)
        _badges(folder, documents)
        copy_assets(folder / "assets")
        # GitHub's default builder would leave files out.
        (folder / ".nojekyll").touch()


def _known(exporters: Sequence[ExporterShape], facts: Sequence[rows.RowFacts]) -> list[dict[str, str]]:
    """Return the versions of every exporter and row."""
    found = [{"torch": item["torch"]} for item in exporters]
    return [*found, *({**item.versions, "python": item.python} for item in facts)]


def _models(tallied: Tally) -> list[ModelShape]:
    return [
        {"id": model, "cells": cells, "match": match, "findings": findings, "shard": f"matrix/{slug(model)}"}
        for model, (cells, match, findings) in sorted(tallied.models.items())
    ]


def _converter(item: rows.RowFacts, page: str, tallied: Tally) -> Converter:
    match, findings = tallied.rows.get(item.id, RowTally()).total
    converter: Converter = {
        "id": item.id,
        "now": str(RowId.parse(item.id).at(NOW)),
        "family": item.family.name,
        "versions": dict(item.versions),
        "variant": families.variant(item.family, item.id, item.versions),
        "python": item.python,
        "page": page,
        "match": match,
        "findings": findings,
    }
    return cast(Converter, {**item.versions, **converter})


def _conclusion(item: Conclusion) -> ConclusionShape:
    return {**finding_words(item.finding), "remedied": None if item.remedied is None else list(item.remedied)}


def _reports(store: Store, history: History) -> list[dict[str, Any]]:
    """Return the drift reports, newest first."""
    found = (store.drift(run.id) for run in reversed(history.runs) if run.as_of is not None)
    return [report for report in found if report]


def _pages(
    folder: Path,
    site: Site,
    documents: Sequence[Mapping[str, Any]],
    found: Sequence[Mapping[str, Any]],
    coverage: CoverageSummary,
    listing: Mapping[str, Any],
    news: Mapping[str, Any],
) -> None:
    about = {"title": site["title"], "generated": site["generated"], "version": site["version"]}
    pages = Pages(folder, about | {"run": site["runs"][-1]})
    for template, page in SINGLE:
        pages.write(template, template, page, data=site, coverage=coverage, **listing)
    pages.write("feed.xml", "feed.xml", "feed", feed=news)
    pages.write("rows/index.html", "rows_index.html", "rows", rows=documents, **listing)
    pages.write("reasons/index.html", "reasons_index.html", "reasons", reasons=found)
    pages.write_each("row.html", "rows", "row", ((rows.page(item["id"]), item) for item in documents))
    pages.write_each("reason.html", "reasons", "reason", ((reasons.page(item["id"]), item) for item in found))


def _badges(folder: Path, documents: Sequence[Mapping[str, Any]]) -> None:
    for row in documents:
        badge = Badge(row["id"], row["match"], row["findings"])
        path = folder / row["badge"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(badge.svg(), encoding="utf-8")
        path.with_name(f"{path.name.removesuffix('.svg')}.json").write_text(badge.endpoint(), encoding="utf-8")
