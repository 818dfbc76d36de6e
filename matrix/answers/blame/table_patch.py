"""Propose a cure as a change of the table: a diff for the user to apply.

If a diff of the file as it is written would not read as the old table with the cure, say what to write by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet

from matrix.answers.blame.types import Ranges
from matrix.core.errors import ConfigError
from matrix.environments.locks.request import all_requests, make_request
from matrix.families import family_of
from matrix.packages.versions import minor
from matrix.table.check import applies, problems, rows_with_places
from matrix.table.editing import (
    Edit,
    append_section,
    apply_edits,
    difference,
    flow,
    insert_entries,
    insert_keys,
    replace_value,
    scalar,
)
from matrix.table.model import Companion, Config, ConverterRow, ExporterRow, Row
from matrix.table.source import Place, TableSource, read_source


@dataclass(frozen=True)
class TablePatch:
    """A unified diff, for `patch -p1` or `git apply` in the table's folder. `stale` are the environments whose locks
    have to be made again once it is applied. If no diff could be made, `diff` is '' and `by_hand` says what to write.
    """

    diff: str
    stale: tuple[str, ...] = ()
    by_hand: str = ""

    @property
    def text(self) -> str:
        """Return the diff below comments, which `patch` and `git apply` skip."""
        if self.by_hand:
            return self.by_hand
        lines = [f"# apply with `patch -p1` in the table's folder, then lock again: {' '.join(self.stale)}"]
        if len(self.stale) > 1:
            lines.append("# rules apply to `then` too, so the committed locks of all these rows become stale")
        return "\n".join(lines) + "\n" + self.diff


def proposal(table: Path, row: Row, ranges: Ranges, why: str) -> TablePatch:
    """Propose a companion rule that gives `row` the `ranges`; for a row to which no rules apply, ranges in its `add`.

    Raises ConfigError if the file `table` cannot be read or does not have the row, or if such a rule would contradict
    the pins of a row.
    """
    wanted = {package: spec for package, spec in ranges if package not in row.pins}
    if not wanted:
        raise ConfigError(f"{table}: {row.id} pins every package that the fix names; change its pins by hand")
    source = read_source(table)
    config = Config.model_validate(source.data)
    place = next((place for place, known in rows_with_places(config) if known.id == row.id), None)
    if place is None:
        raise ConfigError(f"{table}: there is no row {row.id}; add it first")
    if row.companions:
        rule = _rule(config, row, wanted, " ".join(why.split()))
        after = _with_rule(config, rule)
        lines = [f"- when: {flow(rule.when)}", f"  add: {flow(rule.add)}", f"  why: {scalar(rule.why)}"]
        by_hand = "\n".join(["as the last of `companions`:", *(f"  {line}" for line in lines)])
    else:
        add = {**row.add, **{package: _both(row.add.get(package), spec) for package, spec in wanted.items()}}
        after = _with_add(config, place, add)
        by_hand = f"in the row {row.id}:\n    add: {flow(add)}"
    stale = _stale(config, after)
    try:
        if not row.companions:
            edits = _in_row(source, place, row, add)
        elif "companions" in source.data:
            edits = [insert_entries(source, ("companions", len(config.companions) - 1), lines)]
        else:
            edits = [append_section(source, "companions", lines)]
        return TablePatch(difference(source.text, apply_edits(source, edits, after), table.name), stale)
    except ConfigError:
        return TablePatch("", stale, f"# cannot make a diff of {table.name} as it is written; write {by_hand}\n")


def _with_rule(config: Config, rule: Companion) -> Config:
    return config.model_copy(update={"companions": (*config.companions, rule)})


def _with_add(config: Config, place: Place, add: dict[str, str]) -> Config:
    name, index = str(place[0]), place[1]
    rows = (row.model_copy(update={"add": add}) if i == index else row for i, row in enumerate(getattr(config, name)))
    return config.model_copy(update={name: tuple(rows)})


def _in_row(source: TableSource, place: Place, row: Row, add: Mapping[str, str]) -> list[Edit]:
    """Return the edits that make `add` the one of the row at `place`."""
    if not row.add:
        return [insert_keys(source, (*place, "pins"), {"add": add})]
    edits = [replace_value(source, (*place, "add", name), add[name]) for name in row.add if add[name] != row.add[name]]
    new = {name: spec for name, spec in add.items() if name not in row.add}
    return [*edits, insert_keys(source, (*place, "add", list(row.add)[-1]), new)] if new else edits


def _both(one: str | None, other: str) -> str:
    return other if not one else str(SpecifierSet(one) & SpecifierSet(other))


def _rule(config: Config, row: Row, add: dict[str, str], why: str) -> Companion:
    """Return a rule that matches the row and, unless one of them conflicts with it, the other rows of its minor
    version. Raises ConfigError if every rule conflicts.
    """
    *wide, narrow = _whens(row)
    for when in (*wide, narrow):
        rule = Companion(when=when, add=add, why=why)
        wrong = _wrong(config, rule)
        if applies(when, row.pins) and not wrong:
            return rule
    raise ConfigError(f"no rule can fix {row.id}: {wrong}")


def _whens(row: Row) -> Iterator[dict[str, str]]:
    """Yield conditions that the row's pins meet, the widest first."""
    exact = {package: f"=={version}" for package, version in row.pins.items()}
    match row:
        case ExporterRow():
            yield {"torch": f"=={minor(row.pins['torch'])}.*"}
        case ConverterRow():
            made = family_of(row)
            if made.runtime in row.pins:
                wide = {made.runtime: f"~={minor(row.pins[made.runtime])}.0"}
                yield {**{p: spec for p, spec in exact.items() if p == made.package}, **wide}
    yield exact


def _wrong(config: Config, rule: Companion) -> str:
    """Return why the table is not valid with the rule, '' if it is. The table's own checks do not notice a companion
    that another rule pins outside the range, which would leave its row without a solution.
    """
    after = _with_rule(config, rule)
    new = [message for place, message in problems(after) if place[:2] == ("companions", len(config.companions))]
    if new:
        return "; ".join(new)
    for _, row in rows_with_places(after):
        if row.companions and applies(rule.when, row.pins):
            for package, version in make_request(after, row).pinned:
                if package in rule.add and not SpecifierSet(rule.add[package]).contains(version, prereleases=True):
                    return f"{row.id} requires {package} {version} by another rule"
    return ""


def _stale(before: Config, after: Config) -> tuple[str, ...]:
    known = {request.name: request.digest for request in all_requests(before)}
    return tuple(request.name for request in all_requests(after) if known.get(request.name) != request.digest)
