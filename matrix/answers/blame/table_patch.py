"""A cure as a change of the table: a diff for the user to apply. Every other byte of the file stays.

The text is cut where the marks of its parsed form say, and believed only if the result, read again, is the old table
and the cure. Where it is not (a table in a style of its own), what to write by hand is said.
"""

from __future__ import annotations

import difflib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import yaml
from packaging.specifiers import SpecifierSet
from pydantic import ValidationError

from matrix.answers.blame.questions import Ranges
from matrix.core.errors import ConfigError
from matrix.environments.locks.request import all_requests, make_request
from matrix.families import family_of
from matrix.packages.versions import minor
from matrix.table.check import applies, problems, rows_with_places
from matrix.table.model import Companion, Config, ConverterRow, ExporterRow, Row
from matrix.table.source import Place, TableSource, read_source

AnyRow = TypeVar("AnyRow", bound=Row)
Change = Callable[[Config], Config]


@dataclass(frozen=True)
class TablePatch:
    """`diff` is a unified one, for `patch -p1` or `git apply` in the table's folder. `stale` are the environments whose
    locks no longer answer their rows once it is applied. Where no diff could be made it is '' and `by_hand` says what
    to write instead."""

    diff: str
    stale: tuple[str, ...] = ()
    by_hand: str = ""

    @property
    def text(self) -> str:
        """The diff under comments, which `patch` and `git apply` skip."""
        if self.by_hand:
            return self.by_hand
        lines = [f"# applies with `patch -p1` in the table's folder; then lock again: {' '.join(self.stale)}"]
        if len(self.stale) > 1:
            lines.append("# rules hold for `then` too, so the committed locks of all these rows become stale")
        return "\n".join(lines) + "\n" + self.diff


def proposal(table: Path, config: Config, row: Row, ranges: Ranges, why: str) -> TablePatch:
    """A companion rule that gives `row` the `ranges`, behind those of the file `table`; for a row to which no rules
    apply, an `add` of its own. `config` is the table as it was read.

    Raises ConfigError where the file cannot be read, or where such a rule would contradict what a row pins.
    """
    wanted = {package: spec for package, spec in ranges if package not in row.pins}
    if not wanted:
        raise ConfigError(f"{table}: {row.id} pins all that the cure names; its pins have to be changed by hand")
    source = read_source(table)
    if row.id not in {known.id for _, known in rows_with_places(Config.model_validate(source.data))}:
        raise ConfigError(f"{table}: {row.id} is no row of it; add that first")
    text = table.read_bytes().decode("utf-8")
    if row.companions:
        rule = _rule(config, row, wanted, " ".join(why.split()))
        change: Change = partial(_with_rule, rule=rule)
        attempts = _behind_companions(source, text, rule)
        by_hand = "\n".join(["as the last of `companions`:", *_written(rule, "  ", "- ")])
    else:
        added = {**row.add, **{package: _both(row.add.get(package), spec) for package, spec in wanted.items()}}
        change = partial(_with_add, row=row.id, add=added)
        attempts = _in_row(source, text, config, row, wanted)
        by_hand = f"in the row {row.id}:\n    add: {_flow(added)}"
    stale = _stale(config, change(config))
    for changed in attempts:
        if _holds(changed, source, change):
            return TablePatch(_diff(table.name, text, changed), stale)
    return TablePatch("", stale, f"# no diff can be made of {table.name} as it is written; write {by_hand}\n")


def _with_rule(config: Config, rule: Companion) -> Config:
    return config.model_copy(update={"companions": (*config.companions, rule)})


def _with_add(config: Config, row: str, add: dict[str, str]) -> Config:
    def rows(of: tuple[AnyRow, ...]) -> tuple[AnyRow, ...]:
        return tuple(each.model_copy(update={"add": add}) if each.id == row else each for each in of)

    return config.model_copy(update={"exporters": rows(config.exporters), "converters": rows(config.converters)})


def _both(one: str | None, other: str) -> str:
    return other if not one else str(SpecifierSet(one) & SpecifierSet(other))


def _rule(config: Config, row: Row, add: dict[str, str], why: str) -> Companion:
    """Matched by the row, and by its minor's other rows unless one of them could not live with it."""
    *wide, narrow = _whens(row)
    for when in (*wide, narrow):
        rule = Companion(when=when, add=add, why=why)
        wrong = _wrong(config, rule)
        if applies(when, row.pins) and not wrong:
            return rule
    raise ConfigError(f"no rule of the table can cure {row.id}: {wrong}")


def _whens(row: Row) -> Iterator[dict[str, str]]:
    """Ranges that the row's pins fulfil, the widest first."""
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
    """Why the table does not hold with the rule, '' where it does. A companion that another rule holds at one version
    outside the range would leave its row without a solution, which the table's own checks do not see."""
    after = _with_rule(config, rule)
    new = [message for place, message in problems(after) if place[:2] == ("companions", len(config.companions))]
    if new:
        return "; ".join(new)
    for _, row in rows_with_places(after):
        if row.companions and applies(rule.when, row.pins):
            for package, version in make_request(after, row).pinned:
                if package in rule.add and not SpecifierSet(rule.add[package]).contains(version, prereleases=True):
                    return f"{row.id} has {package} {version} by another rule"
    return ""


def _stale(before: Config, after: Config) -> tuple[str, ...]:
    known = {request.name: request.digest for request in all_requests(before)}
    return tuple(request.name for request in all_requests(after) if known.get(request.name) != request.digest)


def _behind_companions(source: TableSource, text: str, rule: Companion) -> Iterator[str]:
    """The text with the rule behind the last one; without any, in a section of its own at the end."""
    lines = _lines(text)
    end = _newline(text)
    if "companions" not in source.data:
        last = "" if text.endswith("\n") else end
        yield text + last + end + end.join(["companions:", *_written(rule, "  ", "- "), ""])
        return
    count = len(source.data["companions"])
    if not count:
        return
    place: Place = ("companions", count - 1)
    line, column = source.marks[place]
    dash = re.fullmatch(r"( *)-( +)", lines[line - 1][: column - 1])
    if dash is None:
        return
    written = _written(rule, dash[1], f"-{dash[2]}")
    at = _entry_end(lines, max(mark[0] for p, mark in source.marks.items() if p[:2] == place), len(dash[1]))
    # Blank lines belong to the last text of an entry in some of its forms.
    behind = next((number for number in range(at, len(lines)) if lines[number].strip()), len(lines))
    for cut in dict.fromkeys((at, behind)):
        before = lines[:cut]
        if not before[-1].endswith("\n"):
            before[-1] += end
        yield "".join([*before, *(f"{each}{end}" for each in written), *lines[cut:]])


def _entry_end(lines: list[str], last: int, dash: int) -> int:
    """How many lines there are up to the end of an entry whose last value begins in line `last`: what is indented
    deeper than its dash belongs to it."""
    end = last
    for number in range(last, len(lines)):
        stripped = lines[number].strip()
        if stripped and len(lines[number]) - len(lines[number].lstrip(" ")) <= dash:
            break
        if stripped:
            end = number + 1
    return end


def _written(rule: Companion, indent: str, dash: str) -> list[str]:
    deeper = indent + " " * len(dash)
    return [
        f"{indent}{dash}when: {_flow(rule.when)}",
        f"{deeper}add: {_flow(rule.add)}",
        f"{deeper}why: {_scalar(rule.why)}",
    ]


def _in_row(source: TableSource, text: str, config: Config, row: Row, wanted: Mapping[str, str]) -> Iterator[str]:
    """The text with the ranges in the row's own `add`: to try one after the other, for a mark says where something
    begins but not where it ends."""
    place = next((place for place, known in rows_with_places(config) if known.id == row.id), None)
    if place is None or place not in source.marks:
        return
    keys = [p[-1] for p in source.marks if p[:-1] == place]
    if "add" in keys:
        yield _more_in_add(source, text, place, row, wanted)
        return
    entry = f"add: {_flow(wanted)}"
    follower = keys[keys.index("pins") + 1] if keys[-1] != "pins" else None
    if follower is not None:
        yield _before(source, text, (*place, follower), entry)
    line = source.marks[(*place, "pins")][0] - 1
    lines = _lines(text)
    if follower is None and (closing := re.search(r" *\}(?=\s*(#.*)?$)", lines[line])):
        lines[line] = f"{lines[line][: closing.start()]}, {entry}{lines[line][closing.start() :]}"
        yield "".join(lines)
    yield _before(source, text, (*place, "pins"), entry)


def _before(source: TableSource, text: str, place: Place, entry: str) -> str:
    """The text with a key before another: on a line of its own where that one begins its line."""
    lines = _lines(text)
    line, column = source.marks[place]
    head, tail = lines[line - 1][: column - 1], lines[line - 1][column - 1 :]
    own_line = not head.strip() or re.fullmatch(r" *- +", head)
    deeper = " " * len(head)
    lines[line - 1] = f"{head}{entry}{_newline(text)}{deeper}{tail}" if own_line else f"{head}{entry}, {tail}"
    return "".join(lines)


def _more_in_add(source: TableSource, text: str, place: Place, row: Row, wanted: Mapping[str, str]) -> str:
    """Ranges of packages that the row's `add` names already are narrowed where they stand, others put before them."""
    lines = _lines(text)
    inside = sorted((source.marks[(*place, "add", package)], package) for package in row.add)
    for (line, column), package in reversed(inside):
        if package in wanted:
            head, tail = lines[line - 1][: column - 1], lines[line - 1][column - 1 :]
            both = json.dumps(_both(row.add[package], wanted[package]))
            value = re.compile(rf"({re.escape(package)}\s*:\s*)(\"[^\"]*\"|'[^']*'|[^\s,}}]+)")
            lines[line - 1] = head + value.sub(lambda found, both=both: f"{found[1]}{both}", tail, count=1)  # type: ignore[misc]
    new = {package: spec for package, spec in wanted.items() if package not in row.add}
    if new and inside:
        (line, column), _ = inside[0]
        head, tail = lines[line - 1][: column - 1], lines[line - 1][column - 1 :]
        if head.strip():
            lines[line - 1] = f"{head}{_flow(new)[1:-1]}, {tail}"
        else:
            block = "".join(f"{head}{package}: {json.dumps(spec)}{_newline(text)}" for package, spec in new.items())
            lines[line - 1] = f"{block}{head}{tail}"
    return "".join(lines)


def _holds(changed: str, source: TableSource, change: Change) -> bool:
    """Whether the text, read as a table, is the file's own table with the change."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / source.path.name
        path.write_bytes(changed.encode("utf-8"))
        try:
            now = Config.model_validate(read_source(path).data)
        except (ConfigError, ValidationError):
            return False
    return now == change(Config.model_validate(source.data)) and not problems(now)


def _flow(ranges: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{package}: {json.dumps(spec)}" for package, spec in ranges.items()) + "}"


def _scalar(text: str) -> str:
    """As plain text where YAML reads it back as it is, else quoted."""
    try:
        if yaml.load(f"why: {text}", Loader=yaml.BaseLoader) == {"why": text}:
            return text
    except yaml.YAMLError:
        pass
    return json.dumps(text, ensure_ascii=False)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _lines(text: str) -> list[str]:
    """Lines with their ends; unlike `splitlines` they end at a line feed only."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _diff(name: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(_lines(old), _lines(new), f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
