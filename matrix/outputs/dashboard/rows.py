"""The rows with what is known of each, and what a person needs to install one."""

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
from matrix.outputs.dashboard.counting import VerdictCounts
from matrix.outputs.dashboard.matrices import column_order, version_order
from matrix.outputs.dashboard.reasons import page as reason_page
from matrix.outputs.dashboard.shards import slug
from matrix.outputs.dashboard.tally import RowTally
from matrix.outputs.package.folder.choice import PackagePart
from matrix.outputs.package.folder.installing import requirements
from matrix.outputs.wording.columns import described
from matrix.outputs.wording.words import VERDICTS
from matrix.packages.lock import Lock
from matrix.table.ids import FIRST_FAMILY, NOW, CellId, RowId

# What says most of a row comes first.
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
    """`versions` are those of the packages that name the row, `further` what it pins beside them, `about` is the
    table's note, `in_table` False for a row that was taken out."""

    id: str
    versions: Mapping[str, str]
    python: str
    about: str
    in_table: bool
    lock: Lock | None
    further: Mapping[str, str] = field(default_factory=dict)
    family: Family = field(default_factory=lambda: family_named(FIRST_FAMILY))


def site_order(facts: RowFacts) -> tuple[Any, ...]:
    """By family, then by the converter's release, what runs its artifacts, and the rest."""
    made = facts.family
    named = dict.fromkeys((made.package, made.runtime, *made.packages)) if made.packages else ()
    return (made.name, *(version_order(facts.versions.get(name, "")) for name in named), facts.id)


def page(row: str) -> str:
    return f"rows/{slug(row)}.html"


def badge(row: str) -> str:
    return f"badges/{slug(row)}.svg"


def document(
    facts: RowFacts,
    counted: RowTally,
    counts: VerdictCounts,
    history: History,
    titles: Mapping[str, Mapping[str, Any]],
    drift: Mapping[str, Any] | None,
    coverage: Mapping[str, Any] | None,
    base: str,
) -> dict[str, Any]:
    """The context of a row's page. `titles` are the reasons by id, `base` is the site's address."""
    match, findings = counted.total
    lock = facts.lock if facts.lock is not None and facts.lock.outcome == "resolved" else None
    part = PackagePart("converter", "", ("converter",), lock) if lock else None
    name = docker_name(facts.id)
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
        "dockerfile": _dockerfile(lock) if lock else None,
        "docker_run": _docker_run(name, facts.family) if lock else _docker_without_lock(facts),
        "install": _install(facts.python) if lock else f"uv pip install {shlex.join(_pins(facts))}",
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
    """By row how its cells stand then and now, and what its newest drift report says of its packages. `reports` are
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
        text = f"Of its cells of now: {', '.join(f'{count} {name}' for name, count in known)}."
        told = packages.get(row)
        found[row] = {"standing": known[0][0], "text": f"{text} {told}" if told else text}
    return found


def docker_name(row: str) -> str:
    """In the characters that a repository's name may have."""
    return re.sub(r"[^a-z0-9]+", "-", row.lower()).strip("-") or "row"


def _packages(row: Mapping[str, Any]) -> str:
    """What moved in its lock since the run of now before."""
    moved = [
        f"{item['package']} {item['before'] or 'absent'} → {item['after'] or 'gone'}"
        for items in (row.get("packages") or {}).values()
        for item in items
        if item["before"] != item["after"]
    ]
    if not moved:
        return ""
    more = f" and {len(moved) - _PACKAGES} more" if len(moved) > _PACKAGES else ""
    return f"Moved at last: {', '.join(moved[:_PACKAGES])}{more}."


def _exporters(counted: RowTally) -> list[dict[str, Any]]:
    """The best share first, of equal ones the newest."""
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
    """Where nothing more is known than what the row states."""
    return "\n".join(["# What the row pins; a lock of it is not known here.", *_pins(facts)]) + "\n"


def _install(python: str) -> str:
    python = shlex.quote(python)
    return (
        "# uv\n"
        f"uv venv --python {python} env\n"
        "uv pip install --python env/bin/python --no-deps --require-hashes -r requirements.txt\n"
        "\n"
        f"# or pip, of a Python {python}\n"
        "python -m venv env\n"
        "env/bin/pip install --no-deps --require-hashes -r requirements.txt\n"
    )


def _dockerfile(lock: Lock) -> str:
    return (
        f"FROM python:{lock.python}-slim\n"
        "COPY requirements.txt /requirements.txt\n"
        "# The pip of an old image does not know the names of wheels that came after it.\n"
        "RUN pip3 install --no-cache-dir --upgrade pip \\\n"
        " && pip3 install --no-cache-dir --no-deps --require-hashes -r /requirements.txt\n"
        "USER 65534:65534\n"
        "ENV HOME=/tmp\n"
        "WORKDIR /tmp\n"
    )


def _docker_run(name: str, family: Family) -> str:
    imports = f"import {', '.join(family.modules)}; print({family.modules[-1]}.__version__)" if family.modules else ""
    return (
        "# beside Dockerfile and requirements.txt\n"
        f"docker build --tag {name} .\n"
        f'docker run --rm -it -v "$PWD:/data" {name} \\\n'
        f"  python3 -c '{imports}'\n"
    )


def _docker_without_lock(facts: RowFacts) -> str:
    # What a row that is in no table says of itself came from a worker, or from another machine.
    words = shlex.join(["sh", "-c", f"pip install {shlex.join(_pins(facts))}"])
    return f"docker run --rm -it {shlex.quote(f'python:{facts.python or 3}-slim')} {words}\n"
