"""Two runs side by side: what was compared, how many cells agree, and the differences, equal ones together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from matrix.history.causes import explain_between
from matrix.history.comparison import CellPair, RunComparison
from matrix.judging.cells import CellResult
from matrix.outputs.documents.comparison import conclusion
from matrix.outputs.documents.markdown import escaped, grid
from matrix.outputs.wording import words

# So many cells of one group are named on the terminal; the other formats list all.
_NAMED = 10


@dataclass(frozen=True)
class DifferenceGroup:
    """Cells that share one change, each with a detail."""

    heading: str
    change: str
    cells: tuple[tuple[str, str], ...]


def text(comparison: RunComparison) -> str:
    """Return the comparison for the terminal."""
    lines = [*_runs(comparison), "", *_counts(comparison)]
    heading = ""
    for group in groups(comparison):
        if group.heading != heading:
            heading = group.heading
            lines += ["", f"{heading}:"]
        if len(group.cells) == 1:
            cell, detail = group.cells[0]
            lines.append(f"  {_joined(': ', cell, group.change)}{_behind(detail)}")
            continue
        lines.append(f"  {_joined(' ', group.change, f'({len(group.cells)} cells)')}")
        lines += [f"    {cell}{_behind(detail)}" for cell, detail in group.cells[:_NAMED]]
        if len(group.cells) > _NAMED:
            lines.append(f"    … and {len(group.cells) - _NAMED} more; --format json or md lists all")
    if comparison.answer == "equal":
        lines += ["", conclusion(comparison)]
    return "\n".join(lines)


def markdown(comparison: RunComparison) -> str:
    """Return the comparison for an issue or a CI summary."""
    lines = [f"**{conclusion(comparison)}**", ""]
    lines += [f"- {line}" for line in (*_runs(comparison), *_counts(comparison))]
    rows = [(group.heading, cell, group.change, detail) for group in groups(comparison) for cell, detail in group.cells]
    if rows:
        lines += ["", *grid(("", "cell", "change", "detail"), map(escaped, rows))]
    return "\n".join(lines)


def groups(comparison: RunComparison) -> Iterator[DifferenceGroup]:
    """Yield the differences, larger groups first within each heading."""
    differing = f"different (run {comparison.runs[0].id} is the reference for numbers)"
    headings: tuple[tuple[str, Callable[[CellPair], bool]], ...] = (
        ("no longer match", lambda pair: pair.regressed),
        (differing, lambda pair: pair.state == "differs" and not pair.regressed),
        ("not comparable", lambda pair: pair.state == "not-comparable"),
    )
    for heading, belongs in headings:
        yield from _grouped(heading, [(_change(p), p.cell, _detail(p)) for p in comparison.pairs if belongs(p)])
    for run, lone in zip(comparison.runs, comparison.lone, strict=True):
        if lone:
            yield DifferenceGroup(f"only in run {run.id}", "", tuple((cell, "") for cell in lone))
    yield from _grouped(
        "arrays that only one run kept",
        [
            (f"{file} only in run {run}", pair.cell, "")
            for pair in comparison.pairs
            if pair.same_conclusion  # if it ended elsewhere, other files are to be expected
            for file, run in pair.lone
        ],
    )


def _grouped(heading: str, found: list[tuple[str, str, str]]) -> list[DifferenceGroup]:
    cells: dict[str, list[tuple[str, str]]] = {}
    for change, cell, detail in found:
        cells.setdefault(change, []).append((cell, detail))
    made = [DifferenceGroup(heading, change, tuple(named)) for change, named in cells.items()]
    return sorted(made, key=lambda group: -len(group.cells))


def _runs(comparison: RunComparison) -> list[str]:
    return [
        f"run {run.id}  {run.started:%Y-%m-%d %H:%M}  {run.tier}  {run.engine}  {run.status}: "
        f"{len(comparison.pairs) + len(lone)} of {run.planned} cells, jobs {run.jobs_run} run, {run.jobs_cached} cached"
        for run, lone in zip(comparison.runs, comparison.lone, strict=True)
    ]


def _counts(comparison: RunComparison) -> list[str]:
    states = comparison.states
    only = [f"{len(lone)} only in run {run.id}" for run, lone in zip(comparison.runs, comparison.lone, strict=True)]
    unavailable = f" ({comparison.unavailable} unavailable in both)" if comparison.unavailable else ""
    lines = [
        f"cells: {states['equal']} equal{unavailable}, "
        f"{states['differs']} differ, {states['not-comparable']} not comparable, {', '.join(only)}"
    ]
    compared, identical = comparison.files
    lines.append(f"numbers: {compared} distinct pairs of array files, {identical} of them equal byte for byte")
    for metric, what in (("max_abs", "difference"), ("tightest", "share of its tolerance")):
        if (found := comparison.largest(metric)) is not None:
            pair, arrays, value = found
            lines.append(f"largest {what}: {words.number(value)} in {arrays.file} of {pair.cell}")
    if repeated := comparison.repeated:
        lines.append(
            f"{repeated} cells use the same observations in both runs, so nothing was measured twice; "
            "`run --again` measures again"
        )
    return lines


def _said(result: CellResult) -> str:
    with_ = f"({words.WITH} {words.changes(result.remedied)})" if result.remedied else ""
    return _joined(" ", result.finding.verdict, words.where(result), result.finding.reason or "", with_)


def _change(pair: CellPair) -> str:
    one, two = _said(pair.one), _said(pair.two)
    numbers = [f"{arrays.file} {arrays.reason}" for arrays in pair.arrays if arrays.reason]
    return "; ".join([f"{one} in both" if pair.same_conclusion else f"{one} → {two}", *numbers])


def _detail(pair: CellPair) -> str:
    if pair.state == "differs" and not pair.same_conclusion:
        return f"why: {explain_between(pair.one, pair.two).sentence}"
    return next((f"{a.file}: {a.leg.detail}" for a in pair.arrays if a.leg is not None and a.reason), "")


def _behind(detail: str) -> str:
    return f"\n      {detail}" if detail else ""


def _joined(separator: str, *parts: str) -> str:
    return separator.join(part for part in parts if part)
