"""What a night came to, as Markdown: conclusion first, then what broke and why, what was mended, what is missing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from matrix.core.errors import UsageError
from matrix.history import CellChange, History, Regression
from matrix.history.causes import explain_all
from matrix.outputs.ci.markdown import code, prose
from matrix.planning.shards import shard_named
from matrix.store import RunRecord, Store

# Of each list: the dashboard has the rest.
_MOST = 30


def expected_shards(fan_out: str) -> list[str]:
    """Names of the shards that `ci github-matrix` printed. Raises UsageError."""
    try:
        names = [str(entry["shard"]) for entry in json.loads(fan_out)["include"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError("--fan-out: give it what `ci github-matrix` printed") from error
    for name in names:
        shard_named(name)
    return names


def summary_of(store: Store, history: History, run_id: str | None, expected: Sequence[str] | None = None) -> str:
    """The summary of the run of this name, or of the newest one."""
    position = next(
        (at for at, run in reversed(list(enumerate(history.runs))) if run_id is None or run.uid == run_id), None
    )
    if position is None:
        run = next((run for run in store.runs() if run.uid == run_id), None) if run_id else None
        said = (
            f"Run {code(run.uid)} decided no cell, so that nothing can be said of it."
            if run is not None
            else f"There is no run {code(run_id)}: no shard left anything."
            if run_id
            else "There is no run about cells yet."
        )
        return "\n".join(["## Compatibility", "", said, *_missing(run, expected)])
    run = history.runs[position]
    changes = history.changes(position)
    new = history.grouped([change for change in changes if change.kind == "broke"])
    standing = history.regressions()
    lines = [
        "## Compatibility",
        "",
        f"**{_conclusion(history, position, changes)}**",
        "",
        f"Run {code(run.uid)} of {run.started:%Y-%m-%d}, tier {code(run.tier)}, resolution {run.resolution}"
        f"{f' as of {run.as_of}' if run.as_of else ''}: {run.status}.",
        *_missing(run, expected),
        *_counts(history, position, run),
        *_regressions(store, history, new),
        *_mended(history, [change for change in changes if change.kind == "mended"]),
    ]
    if older := [item for item in standing if item.run != position]:
        lines += ["", f"{len(older)} older regressions still stand; each has its issue and its place on the dashboard."]
    return "\n".join(lines)


def _conclusion(history: History, position: int, changes: Sequence[CellChange]) -> str:
    kinds = Counter(change.kind for change in changes)
    silent = history.silent(position)
    parts = [f"{kinds[kind]} {kind}" for kind in ("broke", "mended", "changed", "new") if kinds[kind]]
    if silent:
        parts.append(f"{silent} could not be measured")
    return ("Cells: " + ", ".join(parts) + ".") if parts else "Nothing changed: every cell came to what it was before."


def _missing(run: RunRecord | None, expected: Sequence[str] | None) -> list[str]:
    """Which shards left nothing, or not all of theirs; and parts that were cut otherwise and do not fit together."""
    parts = [part for part in (run.parts if run is not None else None) or () if part.shard]
    there = {part.shard for part in parts}
    lines = []
    if expected is not None:
        absent = [name for name in expected if name not in there]
    elif parts:
        of = max(shard_named(part.shard or "")[1] for part in parts)
        # Shards may be empty: only where cells are missing is one of them.
        short = sum(part.planned for part in parts) < max(part.whole or 0 for part in parts)
        absent = [f"{index}/{of}" for index in range(1, of + 1) if f"{index}/{of}" not in there] if short else []
    else:
        absent = []
    if absent:
        names = ", ".join(code(name) for name in absent)
        lines += ["", f"Missing: shard {names}. Of their cells the last finding stands; nothing is said of tonight."]
    broken = sorted(part.shard or "" for part in parts if part.status != "complete")
    if broken:
        lines += ["", f"Not complete: shard {', '.join(code(name) for name in broken)}."]
    if len({part.partition for part in parts}) > 1:
        lines += ["", "The shards were cut from different plans: some cells may be missing, others decided twice."]
    return lines


def _counts(history: History, position: int, run: RunRecord) -> list[str]:
    verdicts: Counter[str] = Counter()
    for timeline in history.timelines.values():
        for at, number in timeline:
            if at == position:
                verdicts[history.conclusions[number].finding.verdict] += 1
    said = " | ".join(f"{number}" for _, number in verdicts.most_common())
    head = " | ".join(verdict for verdict, _ in verdicts.most_common())
    return [
        "",
        f"| {head} |",
        f"|{'---:|' * len(verdicts)}",
        f"| {said} |",
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
        where = "/".join(part for part in (item.role, item.stage) if part)
        lines.append(
            f"- {code(item.environment)} at {code(where or 'converter')}, {code(item.reason or 'of no known kind')}: "
            f"{prose(item.title)}. {len(item.changes)} cells, such as {code(item.cells[0])}."
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
