"""Every failure reason: those of the signatures, seen or not, and those that the driver and the judge give."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from matrix.history import History
from matrix.judging import known_failures as recognise
from matrix.judging.cells import CellResult
from matrix.judging.matching import Signature
from matrix.outputs.dashboard.changes import started
from matrix.outputs.dashboard.recognised import recognised
from matrix.outputs.dashboard.schema import ReasonSummary
from matrix.outputs.dashboard.shards import slug
from matrix.outputs.privacy import SiteCleaner
from matrix.table.ids import RowId

_EXAMPLES, _CELLS, _SAID = 5, 50, 600

# Filled in from a group of the pattern, or with a version.
_PLACEHOLDER = re.compile(r"\{[\w.]*\}")


@dataclass
class _Seen:
    """The cells of a reason; title, cause and remedies are those of the first."""

    title: str
    cause: str
    verdict: str
    remedies: dict[str, str]
    general: bool
    roles: set[str] = field(default_factory=set)
    stages: set[str] = field(default_factory=set)
    cells: list[str] = field(default_factory=list)
    count: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    examples: dict[str, None] = field(default_factory=dict)


class Reasons:
    """Takes the newest results, one by one."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def take(self, result: CellResult) -> None:
        """Take one result."""
        judgement, finding, record = result.judgement, result.finding, result.record
        if finding.reason is None:
            return
        seen = self._seen.get(finding.reason)
        if seen is None:
            remedies = {remedy.id: remedy.text for remedy in judgement.remedies}
            seen = _Seen(finding.title, judgement.cause, finding.verdict, remedies, judgement.general)
            self._seen[finding.reason] = seen
        seen.count += 1
        seen.roles.update(filter(None, [finding.role]))
        seen.stages.update(filter(None, [finding.stage]))
        if len(seen.cells) < _CELLS:
            seen.cells.append(record.cell)
        seen.rows[RowId.parse(record.converter).stem] += 1
        seen.models[record.model] += 1
        said = finding.said or finding.title
        if said and len(seen.examples) < _EXAMPLES:
            seen.examples.setdefault(said[:_SAID])

    def documents(
        self, history: History, page_of: Callable[[str], str | None], cleaner: SiteCleaner
    ) -> list[dict[str, Any]]:
        """Return the contexts of the reason pages, those of the most cells first. `page_of` gives a row's page."""
        known = {signature.id: signature for signature in recognise.load()}
        since = first_seen(history)
        names = sorted({*known, *self._seen, *since})
        found = [
            cleaner.data(_document(name, known.get(name), self._seen.get(name), page_of, _since(history, since, name)))
            for name in names
        ]
        return sorted(found, key=lambda item: (-item["cells"], item["id"]))


def page(reason: str) -> str:
    """Return the place of a reason's page."""
    return f"reasons/{slug(reason)}.html"


def summary(documents: Iterable[Mapping[str, Any]]) -> dict[str, ReasonSummary]:
    """Return a summary, for the other pages, of each reason that was ever seen."""
    return {
        item["id"]: {"title": item["title"], "page": page(item["id"]), "cells": item["cells"]}
        for item in documents
        if item["cells"] or item["since"]
    }


def first_seen(history: History) -> dict[str, int]:
    """Return for each reason the oldest run in which a cell had it."""
    first: dict[int, int] = {}
    for timeline in history.timelines.values():
        for run, conclusion in timeline.changes():
            if run < first.get(conclusion, run + 1):
                first[conclusion] = run
    found: dict[str, int] = {}
    for conclusion, run in first.items():
        reason = history.conclusions[conclusion].finding.reason
        if reason is not None:
            found[reason] = min(run, found.get(reason, run))
    return found


def _since(history: History, since: Mapping[str, int], name: str) -> dict[str, Any] | None:
    if name not in since:
        return None
    run = history.runs[since[name]]
    return {"run": run.id, "started": started(run).isoformat()}


def _document(
    name: str,
    signature: Signature | None,
    seen: _Seen | None,
    page_of: Callable[[str], str | None],
    since: Mapping[str, Any] | None,
) -> dict[str, Any]:
    if signature is not None:
        # The texts of a cell would have its own words filled in.
        remedies = {remedy.id: _general(remedy.text) for remedy in signature.remedies}
        title, source = _general(signature.title), signature.source
        about = _Seen(title, signature.cause, signature.verdict, remedies, signature.general)
    else:
        about, source = seen or _Seen(name, "", "error", {}, False), ""
    seen = seen or _Seen("", "", "", {}, False)
    stated = (signature.roles, signature.stages) if signature else ((), ())
    return {
        "id": name,
        "title": about.title or name,
        "cause": about.cause,
        "verdict": about.verdict,
        "remedies": [{"id": key, "text": text} for key, text in about.remedies.items()],
        "source": source,
        "general": about.general,
        "roles": sorted(seen.roles) or sorted(stated[0]),
        "stages": sorted(seen.stages) or sorted(stated[1]),
        "cells": seen.count,
        "since": since,
        "rows": [{"id": row, "page": page_of(row), "count": count} for row, count in _most(seen.rows)],
        "models": [{"id": model, "count": count} for model, count in _most(seen.models)],
        "examples": list(seen.examples),
        "some_cells": seen.cells,
        "recognised": recognised(signature.regex.pattern) if signature else [],
        "page": page(name),
    }


def _general(text: str) -> str:
    return _PLACEHOLDER.sub("…", text)


def _most(counted: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))
