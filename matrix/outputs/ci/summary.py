"""The result of a night as Markdown: conclusion, missing shards, counts, regressions with causes, mended cells."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from matrix.core.errors import UsageError
from matrix.history import CellChange, History, Regression
from matrix.history.causes import explain_all
from matrix.outputs.ci.markdown import code, prose
from matrix.outputs.ci.reports import place, reason
from matrix.planning.shards import shard_named
from matrix.store import RunRecord, Store

# The length of each list; the dashboard has the rest.
_MOST = 30


def expected_shards(fan_out: str) -> list[str]:
    """Return the names of the shards in the output of `ci github-matrix`. Raises UsageError."""
    try:
        names = [str(entry["shard"]) for entry in json.loads(fan_out)["include"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError("--fan-out: not the output of `ci github-matrix`; pass that") from error
    for name in names:
        shard_named(name)
    return names


def summary_of(store: Store, history: History, run_id: str | None, expected: Sequence[str] | None = None) -> str:
    """Return the summary of the run with this name, or of the newest one."""
    fitting = [at for at, run in enumerate(history.runs) if run_id is None or run.uid == run_id]
    if not fitting:
        found = next((run for run in store.runs() if run.uid == run_id), None) if run_id else None
        said = (
            f"There is no run {code(run_id)}: no shard left a result." if run_id else "There is no run about cells yet."
        )
        if found is not None:
            said = f"Run {code(found.uid)} decided no cell."
        return "\n".join(["## Compatibility", "", said, *_missing(found, expected)])
    position = fitting[-1]
    run = history.runs[position]
    changes = history.changes(position)
    new = history.grouped([change for change in changes if change.kind == "broke"])
    as_of = f" as of {run.as_of}" if run.as_of else ""
    lines = [
        "## Compatibility",
        "",
        f"**{_conclusion(history, position, changes)}**",
        "",
        f"Run {code(run.uid)} of {run.started:%Y-%m-%d}, tier {code(run.tier)}, resolution {run.resolution}{as_of}: "
        f"{run.status}.",
        *_missing(run, expected),
        *_counts(history, position, run),
        *_regressions(store, history, new),
        *_mended(history, [change for change in changes if change.kind == "mended"]),
    ]
    if older := sum(item.run != position for item in history.regressions()):
        lines += ["", f"{older} older regressions still stand; each has an issue and an entry on the dashboard."]
    return "\n".join(lines)


def _conclusion(history: History, position: int, changes: Sequence[CellChange]) -> str:
    counts = Counter[str](change.kind for change in changes)
    counts["could not be measured"] = history.silent(position)
    kinds = ("broke", "mended", "changed", "new", "could not be measured")
    parts = [f"{counts[kind]} {kind}" for kind in kinds if counts[kind]]
    return f"Cells: {', '.join(parts)}." if parts else "Nothing changed: every cell has the same finding as before."


def _missing(run: RunRecord | None, expected: Sequence[str] | None) -> list[str]:
    """Return lines about shards that left no result, or an incomplete one, and about shards of different plans."""
    parts = [part for part in (run.parts if run is not None else ()) if part.shard]
    there = {part.shard or "": part for part in parts}
    lines = []
    # Shards may be empty: one is missing only if cells are.
    if expected is None and sum(part.planned for part in parts) < max((part.whole or 0 for part in parts), default=0):
        of = max(shard_named(name)[1] for name in there)
        expected = [f"{index}/{of}" for index in range(1, of + 1)]
    if absent := ", ".join(code(name) for name in expected or () if name not in there):
        lines += ["", f"Missing: shard {absent}. The last finding of their cells stands; there is none of tonight."]
    if broken := ", ".join(code(name) for name in sorted(there) if there[name].status != "complete"):
        lines += ["", f"Not complete: shard {broken}."]
    if len({part.partition for part in parts}) > 1:
        lines += ["", "The shards belong to different plans: some cells may be missing, others decided twice."]
    return lines


def _counts(history: History, position: int, run: RunRecord) -> list[str]:
    verdicts = Counter[str](
        history.conclusions[number].finding.verdict
        for timeline in history.timelines.values()
        for at, number in timeline
        if at == position
    )
    return [
        "",
        f"| {' | '.join(verdict for verdict, _ in verdicts.most_common())} |",
        f"|{'---:|' * len(verdicts)}",
        f"| {' | '.join(str(number) for _, number in verdicts.most_common())} |",
        "",
        f"{sum(verdicts.values())} of {run.planned} cells; jobs: {run.jobs_run} run, {run.jobs_cached} cached.",
    ]


def _regressions(store: Store, history: History, new: Sequence[Regression]) -> list[str]:
    if not new:
        return []
    shown = new[:_MOST]
    whys = explain_all(store, history, (item.changes[0] for item in shown))
    lines = ["", f"### Broke ({sum(len(item.changes) for item in new)})", ""]
    for item in shown:
        lines.append(
            f"- {code(item.environment)} at {code(place(item))}, {reason(item)}: {prose(item.title)}. "
            f"{len(item.changes)} cells, such as {code(item.cells[0])}."
        )
        if (why := whys.get(item.changes[0])) is not None:
            lines.append(f"  Why: {prose(why.sentence, 600)}.")
    return [*lines, *_more(len(new))]


def _mended(history: History, changes: Sequence[CellChange]) -> list[str]:
    if not changes:
        return []
    lines = ["", f"### Mended ({len(changes)})", ""]
    for change in changes[:_MOST]:
        before = history.conclusions[change.before or 0]
        lines.append(f"- {code(change.cell)}, was {code(before.finding.reason or before.finding.verdict)}")
    return [*lines, *_more(len(changes))]


def _more(number: int) -> list[str]:
    return [f"- and {number - _MOST} more"] if number > _MOST else []
