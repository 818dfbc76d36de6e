"""The pages of rows: the findings on each, and the commands that install one."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from matrix.families import Family, family_named
from matrix.history import History
from matrix.history.then_and_now import DriftStanding, drift_standing
from matrix.outputs.dashboard.cells import CONVERTER_NOW, Place
from matrix.outputs.dashboard.changes import started
from matrix.outputs.dashboard.counting import RowTally, VerdictCounts
from matrix.outputs.dashboard.matrices import column_order, version_order
from matrix.outputs.dashboard.reasons import page as reason_page
from matrix.outputs.dashboard.schema import ReasonSummary
from matrix.outputs.dashboard.shards import slug
from matrix.outputs.package.folder.choice import PackagePart
from matrix.outputs.package.folder.installing import requirements
from matrix.outputs.wording.columns import described
from matrix.outputs.wording.words import VERDICTS
from matrix.packages.lock import Lock
from matrix.table.ids import FIRST_FAMILY, NOW, CellId, RowId

# The standing that says most about a row comes first.
_STANDINGS: tuple[DriftStanding, ...] = (
    "worked then, broken now",
    "mended",
    "works then and now",
    "never worked",
    "not known",
)
_PACKAGES = 6


@dataclass(frozen=True)
class RowFacts:
    """`versions` are those of the packages that name the row, `further` its other pins, `about` is the table's note,
    `in_table` False for a row that was removed."""

    id: str
    versions: Mapping[str, str]
    python: str
    about: str
    in_table: bool
    lock: Lock | None
    further: Mapping[str, str] = field(default_factory=dict)
    family: Family = field(default_factory=lambda: family_named(FIRST_FAMILY))


def site_order(facts: RowFacts) -> tuple[Any, ...]:
    """Sort by family, then by the versions of the converter, of the runtime, and the rest."""
    made = facts.family
    named = dict.fromkeys((made.package, made.runtime, *made.packages)) if made.packages else ()
    return (made.name, *(version_order(facts.versions.get(name, "")) for name in named), facts.id)


def page(row: str) -> str:
    """Return the place of a row's page."""
    return f"rows/{slug(row)}.html"


def badge(row: str) -> str:
    """Return the place of a row's badge."""
    return f"badges/{slug(row)}.svg"


def document(
    facts: RowFacts,
    counted: RowTally,
    counts: VerdictCounts,
    history: History,
    titles: Mapping[str, ReasonSummary],
    drift: Mapping[str, Any] | None,
    coverage: Mapping[str, Any] | None,
    base: str,
) -> dict[str, Any]:
    """Return the context of a row's page. `titles` are the reasons by id, `base` is the site's address."""
    match, findings = counted.total
    lock = facts.lock if facts.lock is not None and facts.lock.outcome == "resolved" else None
    part = PackagePart("converter", "", ("converter",), lock) if lock else None
    return {
        "id": facts.id,
        "page": page(facts.id),
        "about": facts.about,
        "family": facts.family.name,
        "title": f"{facts.id}: {described(facts.family, facts.versions)}",
        "versions": {**{name: facts.versions[name] or "?" for name in facts.family.packages}, **facts.further},
        "unsatisfiable": facts.lock is not None and facts.lock.outcome == "unsatisfiable",
        "python": facts.python,
        "as_of": lock.as_of.isoformat() if lock else None,
        "match": match,
        "findings": findings,
        "verdicts": {verdict: counted.verdicts[verdict] for verdict in VERDICTS if counted.verdicts[verdict]},
        "models": [
            {"id": model, "match": pair[0], "findings": pair[1]} for model, pair in sorted(counted.models.items())
        ],
        "reasons": [
            {"id": reason, "title": titles[reason]["title"], "count": count, "page": reason_page(reason)}
            for reason, count in sorted(counted.reasons.items(), key=lambda item: (-item[1], item[0]))
            if reason in titles
        ],
        "exporters": _exporters(counted),
        "requirements": requirements(part) if part else _pinned(facts),
        "lock": lock.text() if lock else None,
        # Without a lock: the template has what installs one.
        "docker_run": None if lock else _docker_without_lock(facts),
        "install": None if lock else f"uv pip install {shlex.join(_pins(facts))}",
        "docker_name": docker_name(facts.id),
        "modules": list(facts.family.modules),
        "image": f"python -m matrix image {shlex.quote(facts.id)}",
        "badge": badge(facts.id),
        "badge_markdown": f"[![{facts.id}]({base}{badge(facts.id)})]({base}{page(facts.id)})",
        "history": [
            {
                "run": history.runs[run].id,
                "started": started(history.runs[run]).isoformat(),
                "match": matched,
                "findings": found,
            }
            for run, matched, found in counts.by_row.get(facts.id, ())
        ],
        "drift": drift,
        "coverage": coverage,
    }


def drifts(
    history: History, places: Mapping[str, Place], reports: Iterable[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return for each row how its cells compare then and now, and the changes of its newest drift report. `reports` are
    newest first."""
    counted: dict[str, Counter[DriftStanding]] = {}
    for cell, place in places.items():
        if place.time != CONVERTER_NOW:
            continue
        own = history.timelines.get(str(CellId.parse(cell).own))
        then = history.conclusions[own.newest[1]].finding.verdict if own else None
        now = history.conclusions[history.timelines[cell].newest[1]].finding.verdict
        counted.setdefault(place.converter, Counter())[drift_standing(then, now)] += 1
    packages: dict[str, str] = {}
    for report in reports:
        for row in report.get("rows") or ():
            named = RowId.parse(str(row.get("row", "")))
            if named.time == NOW:
                packages.setdefault(named.stem, _packages(row))
    found = {}
    for row, standings in counted.items():
        known = [(name, standings[name]) for name in _STANDINGS if standings[name]]
        text = f"Cells resolved now: {', '.join(f'{count} {name}' for name, count in known)}."
        moved = packages.get(row)
        found[row] = {"standing": known[0][0], "text": f"{text} {moved}" if moved else text}
    return found


def docker_name(row: str) -> str:
    """Return the name with only characters that a Docker repository may have."""
    return re.sub(r"[^a-z0-9]+", "-", row.lower()).strip("-") or "row"


def _packages(row: Mapping[str, Any]) -> str:
    """Describe the changes of its lock since the previous run resolved now."""
    moved = [
        f"{item['package']} {item['before'] or 'absent'} → {item['after'] or 'gone'}"
        for items in (row.get("packages") or {}).values()
        for item in items
        if item["before"] != item["after"]
    ]
    if not moved:
        return ""
    more = f" and {len(moved) - _PACKAGES} more" if len(moved) > _PACKAGES else ""
    return f"Latest changes: {', '.join(moved[:_PACKAGES])}{more}."


def _exporters(counted: RowTally) -> list[dict[str, Any]]:
    """Return those with the best share first, among equals the newest."""
    newest = sorted(counted.exporters.items(), key=lambda item: column_order(*item[0]), reverse=True)
    best = sorted(newest, key=lambda item: (-item[1][0] / item[1][1], -item[1][0]))
    return [
        {"id": exporter, "torch": torch, "opset": opset, "match": pair[0], "findings": pair[1]}
        for (exporter, torch, opset), pair in best
    ]


def _pins(facts: RowFacts) -> list[str]:
    pins = {**facts.versions, **facts.further}
    return [f"{package}=={version}" for package, version in pins.items() if version]


def _pinned(facts: RowFacts) -> str:
    """Return the requirements of a row without a known lock."""
    return "\n".join(["# The pins of the row; its lock is not known here.", *_pins(facts)]) + "\n"


def _docker_without_lock(facts: RowFacts) -> str:
    # The versions of a row that is not in the table come from a worker, or from another machine.
    words = shlex.join(["sh", "-c", f"pip install {shlex.join(_pins(facts))}"])
    return f"docker run --rm -it {shlex.quote(f'python:{facts.python or 3}-slim')} {words}\n"
