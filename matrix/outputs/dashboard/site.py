"""The whole site: history read once, every page and every shard made of it, then put in the place of the old one."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix import __version__
from matrix.answers.operators.kept import Coverages, Unmeasured
from matrix.answers.operators.summary import Coverage
from matrix.app.project import Project
from matrix.core.errors import NothingSelected, UsageError
from matrix.history import Conclusion, History, read_history
from matrix.judging.cells import CellResult, Judge
from matrix.judging.finding import INDETERMINATE
from matrix.outputs.dashboard import (
    blames,
    counting,
    families,
    feed,
    matrices,
    picking,
    reasons,
    regressions,
    rows,
    runs,
    trends,
)
from matrix.outputs.dashboard.badges import Badge
from matrix.outputs.dashboard.cells import Cells, Ending, Reproducing
from matrix.outputs.dashboard.changes import Changes
from matrix.outputs.dashboard.coverages import write_coverages
from matrix.outputs.dashboard.environments import Environments
from matrix.outputs.dashboard.folder import replaced
from matrix.outputs.dashboard.logs import Logs
from matrix.outputs.dashboard.observed import Observed
from matrix.outputs.dashboard.pages import SINGLE, Pages, copy_assets
from matrix.outputs.dashboard.schema import json_schema
from matrix.outputs.dashboard.shards import SCHEMA, Shards, encode, slug
from matrix.outputs.dashboard.tables import SiteTable
from matrix.outputs.dashboard.tally import RowTally, Tally, tally
from matrix.outputs.documents.coverage import beside
from matrix.outputs.privacy import Public, SiteCleaner
from matrix.outputs.wording.columns import ordered
from matrix.outputs.wording.words import VERDICTS
from matrix.store import Store
from matrix.table.ids import NOW, RowId

TITLE = "PyTorch → ONNX → TensorFlow compatibility"


@dataclass(frozen=True)
class SiteRequest:
    """`include` names models that are no table's and may be shown all the same; `base` is the address that the site
    will have, '' where nobody knows."""

    out: Path
    include: tuple[str, ...] = ()
    title: str = TITLE
    base: str = ""


@dataclass(frozen=True)
class Built:
    """What there is now. `left_out` are the cells of models that are private."""

    runs: int
    cells: int
    left_out: int
    files: int
    bytes: int


def build(project: Project, store: Store, wanted: SiteRequest) -> Built:
    """Raises NothingSelected where there is nothing to show, and UsageError for what cannot be as wanted."""
    cleaner = SiteCleaner(project.state.root, project.table.parent, encode)
    public = Public((model.id for model in project.stated.models), wanted.include)
    with replaced(wanted.out) as folder:
        shards = Shards(folder / "data")
        logs = Logs(store.blobs, cleaner, shards)
        numbered = {run.id: run for run in store.runs()}
        environments = Environments(store, project.locks, numbered, cleaner, shards)
        cells = Cells(folder / "spill", Observed(logs, environments, cleaner), environments.installable, cleaner)
        seen = reasons.Reasons()
        table = SiteTable(project)

        def take(result: CellResult, _: int) -> None:
            cells.take(result)
            seen.take(result)
            table.take(result)

        history = read_history(store, Judge(project.config, store), project.locks, take, public.cell, project.has_row)
        _check(history, public, wanted, project)
        logs.close()
        _write(folder, shards, project, store, wanted, history, cells, seen, table, public, cleaner)
        cells.close()
        (folder / "spill").unlink()
        files = [path for path in folder.rglob("*") if path.is_file()]
        return Built(
            len(history.runs),
            len(history.timelines),
            len(public.left_out),
            len(files),
            sum(path.stat().st_size for path in files),
        )


def _check(history: History, public: Public, wanted: SiteRequest, project: Project) -> None:
    if unknown := public.unknown(wanted.include):
        raise UsageError(
            f"--include {', '.join(unknown)}: no run has a cell of that; name a model as `status` lists it"
        )
    if not history.timelines:
        private = len(public.left_out)
        why = f"only {private} cells of models that are not in {project.table}" if private else "no cell yet"
        what = "name those that may be shown: --include NAME" if private else "start a run: python -m matrix run"
        raise NothingSelected(f"{project.state.root} holds {why}; {what}")


def _write(
    folder: Path,
    shards: Shards,
    project: Project,
    store: Store,
    wanted: SiteRequest,
    history: History,
    cells: Cells,
    seen: reasons.Reasons,
    table: SiteTable,
    public: Public,
    cleaner: SiteCleaner,
) -> None:
    places = cells.places
    counts = counting.count(history, places)
    tallied = tally(history, places)
    covered = _coverages(project, store)
    exporters = table.exporters(places)
    measured = [item.converter for item in covered if isinstance(item, Coverage)]
    facts = table.rows([*tallied.rows, *measured])
    positions = {item.id: number for number, item in enumerate(facts)}
    exporter_at = {item["id"]: number for number, item in enumerate(exporters)}
    blamed = blames.gather(store, [cell for cell in places if places[cell].time], folder / "pictures", cleaner)
    changes = Changes(store, history, blamed)
    pages_of = {item.id: rows.page(item.id) for item in facts}
    told = seen.documents(history, pages_of.get, cleaner)
    titles = reasons.summary(told)
    jobs = runs.jobs_of(store, history, public)
    models = sorted(tallied.models)

    site = cleaner.data(
        {
            **_about(wanted),
            "runs": [runs.document(history, run, counts, changes, jobs, public) for run in range(len(history.runs))],
            "models": _models(tallied),
            "families": families.documents(ordered(item.family for item in facts)),
            "exporters": exporters,
            "converters": [_converter(item, pages_of[item.id], tallied) for item in facts],
            "conclusions": [_conclusion(item) for item in history.conclusions],
            "reasons": titles,
            "verdicts": [{"id": name, "text": name, "indeterminate": name in INDETERMINATE} for name in VERDICTS],
            "cell_shards": cells.shard_count(),
            "regressions": regressions.documents(history, changes),
        }
    )
    shards.write("site", site)
    matrices.write_matrices(history, places, exporter_at, positions, shards, cleaner.text)
    model_at = {model: number for number, model in enumerate(models)}
    picked = picking.toolchains(history, places, exporter_at, positions, model_at)
    shards.write("pick", cleaner.data({**picked, "pins": table.pins(exporters, facts)}))
    shards.write("trends", cleaner.data(trends.trends(history, counts, jobs)))
    changes.write(shards, cleaner)
    coverage = write_coverages(
        [item for item in covered if isinstance(item, Coverage)],
        [item for item in covered if isinstance(item, Unmeasured)],
        {item.id: beside(item.family, item.versions) for item in facts},
        shards,
        cleaner.data,
    )

    def ending(cell: str) -> Ending:
        timeline = history.timelines[cell]
        run, conclusion = timeline.newest
        blame = blamed.get(cell)
        return Ending(conclusion, run, timeline.changes(), len(timeline.runs), blame.data if blame else None)

    at = {run.id: position for position, run in enumerate(history.runs)}
    cells.write(shards, ending, at, Reproducing(*table.known, history.runs))
    (folder / "data" / "schema.json").write_text(json.dumps(json_schema(), indent=1) + "\n", encoding="utf-8")

    drifts = rows.drifts(history, places, _reports(store, history))
    shares = {row["row"]: {key: row[key] for key in ("match", "cases", "share")} for row in coverage["rows"]}
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
    shown = ordered(item.family for item in facts)
    listing = {
        "packages": families.packages(shown),
        "several": len(shown) > 1,
        "fields": families.fields(shown, _known(exporters, facts)),
    }
    _pages(folder, site, documents, told, coverage, listing)
    _badges(folder, documents)
    entries = feed.entries(history, changes)
    generated = dt.datetime.fromisoformat(site["generated"])
    (folder / "feed.xml").write_bytes(feed.feed(wanted.title, wanted.base, generated, entries, cleaner.text))
    copy_assets(folder / "assets")
    # GitHub's own builder would leave files out.
    (folder / ".nojekyll").touch()


def _about(wanted: SiteRequest) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "generated": dt.datetime.now(dt.UTC).replace(microsecond=0).isoformat(),
        "title": wanted.title,
        "version": __version__,
    }


def _known(exporters: Sequence[Mapping[str, Any]], facts: Sequence[rows.RowFacts]) -> list[dict[str, str]]:
    """The versions of every exporter and row."""
    found = [{"torch": item["torch"]} for item in exporters]
    return [*found, *({**item.versions, "python": item.python} for item in facts)]


def _models(tallied: Tally) -> list[dict[str, Any]]:
    return [
        {"id": model, "cells": cells, "match": match, "findings": findings, "shard": f"matrix/{slug(model)}"}
        for model, (cells, match, findings) in sorted(tallied.models.items())
    ]


def _converter(item: rows.RowFacts, page: str, tallied: Tally) -> dict[str, Any]:
    match, findings = tallied.rows.get(item.id, RowTally()).total
    return {
        **item.versions,
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


def _conclusion(item: Conclusion) -> dict[str, Any]:
    return {
        **item.finding.document("verdict", "role", "stage", "reason", "title"),
        "remedied": None if item.remedied is None else list(item.remedied),
    }


def _coverages(project: Project, store: Store) -> Sequence[Coverage | Unmeasured]:
    found = Coverages(project.config, store).stored([row.id for row in project.config.converters])
    return list(found.values())


def _reports(store: Store, history: History) -> list[dict[str, Any]]:
    """Drift reports, newest first."""
    found = (store.drift(run.id) for run in reversed(history.runs) if run.as_of is not None)
    return [report for report in found if report]


def _pages(
    folder: Path,
    site: Mapping[str, Any],
    documents: Sequence[Mapping[str, Any]],
    told: Sequence[Mapping[str, Any]],
    coverage: Mapping[str, Any],
    listing: Mapping[str, Any],
) -> None:
    # A template reads `coverage.rows`, which of a dict that lacked it would be something else.
    about = {key: site[key] for key in ("title", "generated", "version")} | {"run": site["runs"][-1]}
    pages = Pages(folder, about)
    for template, page in SINGLE:
        pages.write(template, template, page, data=site, coverage=coverage, **listing)
    pages.write("rows/index.html", "rows_index.html", "rows", rows=documents, **listing)
    pages.write("reasons/index.html", "reasons_index.html", "reasons", reasons=told)
    pages.write_each("row.html", "rows", "row", ((rows.page(item["id"]), item) for item in documents))
    pages.write_each("reason.html", "reasons", "reason", ((reasons.page(item["id"]), item) for item in told))


def _badges(folder: Path, documents: Sequence[Mapping[str, Any]]) -> None:
    for row in documents:
        badge = Badge(row["id"], row["match"], row["findings"])
        path = folder / row["badge"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(badge.svg(), encoding="utf-8")
        path.with_name(f"{path.name.removesuffix('.svg')}.json").write_text(badge.endpoint(), encoding="utf-8")
