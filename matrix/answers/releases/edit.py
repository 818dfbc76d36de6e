"""The table's text with proposed rows in it: lines are put in, no other byte changes."""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.version import InvalidVersion, Version
from pydantic import ValidationError

from matrix.answers.releases.survey import Fact, NewRow, ProposedRow, Survey, beside
from matrix.core.errors import ConfigError
from matrix.judging.reasons import known_reasons
from matrix.table.check import problems
from matrix.table.model import Config, ConverterRow, ExporterRow, OnnxRelease, TorchRelease
from matrix.table.source import TableSource, read_source

Section = Literal["onnx", "torch", "exporters", "converters"]
SECTIONS: tuple[Section, ...] = ("onnx", "torch", "exporters", "converters")

# What YAML takes for the end of a line.
_LINE = re.compile("[^\r\n\x85\u2028\u2029]*(?:\r\n|[\r\n\x85\u2028\u2029])|[^\r\n\x85\u2028\u2029]+$")
_NOTE = re.compile(r"^\s*# No lock for (\S+) ([^\s,:]+)(?: beside ([^\s,:]+))?", re.MULTILINE)


@dataclass(frozen=True)
class Additions:
    """What goes into the table: entries of its sections, and notes on releases that cannot be locked."""

    facts: tuple[Fact, ...]
    rows: tuple[NewRow, ...]
    notes: tuple[tuple[Section, str], ...]

    @property
    def lines(self) -> dict[Section, tuple[str, ...]]:
        """New lines by section, without their indentation."""
        found: dict[Section, list[str]] = {section: [] for section in SECTIONS}
        for fact in self.facts:
            found[section_of(fact)].append(f"- {_flow(fact)}")
        for section, note in self.notes:
            found[section].append(f"# {note}")
        for row in self.rows:
            found[section_of(row)].append(f"- {_flow(row)}")
        return {section: tuple(lines) for section, lines in found.items() if lines}


def noted(text: str) -> frozenset[tuple[str, Version]]:
    """The releases that notes in the table's text name as tried in vain, as `survey` takes them."""
    found = set()
    for package, version, family in _NOTE.findall(text):
        try:
            found.add((beside(package, family), Version(version)))
        except InvalidVersion:
            continue
    return frozenset(found)


def additions(survey: Survey) -> Additions:
    """Lockable rows with the facts they rest on; of releases that no row can have, their facts and a note.

    What is undecided is left for another day, and so is what may still become lockable.
    """
    rows: dict[str, NewRow] = {}
    notes: list[tuple[Section, str]] = []
    settled: list[ProposedRow] = []
    for proposal in survey.proposals:
        if proposal.standing == "lockable" and proposal.row is not None:
            rows.setdefault(proposal.row.id, proposal.row)
        elif proposal.standing == "unsatisfiable" and proposal.until is None and proposal.refused:
            notes.append(_note(proposal))
        else:
            continue
        settled.append(proposal)
    used = {(package, version) for row in rows.values() for package, version in row.pins.items()}
    facts = [
        proposal.facts
        for proposal in survey.proposals
        if proposal.facts and (proposal in settled or (proposal.package, proposal.facts.version) in used)
    ]
    return Additions(tuple(facts), tuple(rows.values()), tuple(notes))


def _note(proposal: ProposedRow) -> tuple[Section, str]:
    last = proposal.refused[-1]
    tried = [refusal.row.pins["onnx"] for refusal in proposal.refused if "onnx" in refusal.row.pins]
    others = f" with onnx {', '.join(tried)}" if tried and proposal.package != "onnx" else ""
    family = f" beside {proposal.family}" if proposal.family else ""
    return section_of(last.row), f"No lock for {proposal.package} {proposal.version}{family}{others}: {last.why}"


def section_of(entry: Fact | NewRow) -> Section:
    match entry:
        case OnnxRelease():
            return "onnx"
        case TorchRelease():
            return "torch"
        case ExporterRow():
            return "exporters"
        case ConverterRow():
            return "converters"


def _flow(entry: Fact | NewRow) -> str:
    """An entry as the table writes it: in one line, without what is as ever."""
    stated = {name: value for name, value in entry if name in entry.model_fields_set and value is not None}
    if stated.get("via") == ("torchscript",):
        del stated["via"]
    return _text(stated)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return str(value)


def changed_table(text: str, path: Path, config: Config, added: Additions) -> str:
    """`text`, that of the table at `path`, with the additions after the last entry of their kind.

    Raises ConfigError, naming the place, where a section is not written as one entry a line, or where the result is
    not the table there was (`config`) plus the additions.
    """
    source = _read(text, path)
    lines = _LINE.findall(text)
    for section in sorted(added.lines, key=lambda name: source.marks[(name,)], reverse=True):
        at, indent, ending = _end_of(section, lines, source, config)
        if not lines[at - 1].endswith(ending):
            lines[at - 1] += ending
        lines[at:at] = [f"{indent}{line}{ending}" for line in added.lines[section]]
    result = "".join(lines)
    if added.lines:
        _verify(_read(result, path), config, added)
    return result


def _read(text: str, path: Path) -> TableSource:
    """`text` as if it were the file at `path`, which it need not be in."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "table.yml"
        scratch.write_bytes(text.encode())
        try:
            read = read_source(scratch)
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(scratch), str(path))) from error
    return TableSource(path, read.data, read.marks)


def _end_of(section: Section, lines: Sequence[str], source: TableSource, config: Config) -> tuple[int, str, str]:
    """Index of the line that new ones go before, the indentation of a dash in this section, and how a line ends."""
    place = (section, _after(config, section) - 1)
    first = source.marks[place][0] - 1
    found = re.match(r"(\s*)- ", lines[first])
    if found is None:
        raise ConfigError(
            f"{source.where(place)}: nothing can be added to `{section}` in this form; write every entry on a line "
            "of its own that begins with `- `"
        )
    after = [line - 1 for key, (line, _) in source.marks.items() if len(key) == 1 or key[:-1] == (section,)]
    end = min((line for line in after if line > first), default=len(lines))
    # What stands between two entries speaks of the second, or of the next section.
    while end > first + 1 and re.match(r"\s*(#|$|\.\.\.)", lines[end - 1]):
        end -= 1
    ending = re.search("[\r\n\x85\u2028\u2029]*$", lines[first])
    return end, found[1], (ending[0] if ending else "") or "\n"


def _verify(source: TableSource, config: Config, added: Additions) -> None:
    """Raises ConfigError unless `source` is `config` and the additions."""
    try:
        found = Config.model_validate(source.data)
    except ValidationError as error:
        item = error.errors(include_url=False)[0]
        raise ConfigError(f"{source.where(item['loc'])}: the proposed table is not valid: {item['msg']}") from error
    wrong = problems(found, known_reasons())
    if wrong:
        raise ConfigError("\n".join(f"{source.where(place)}: {message}" for place, message in wrong))
    new: dict[str, object] = {section: _with(config, section, added) for section in SECTIONS}
    for section in SECTIONS:
        if getattr(found, section) != new[section]:
            raise ConfigError(f"{source.where((section,))}: the proposed rows do not read as what was proposed")
    if found != config.model_copy(update=new):
        raise ConfigError(f"{source.path}: the proposed rows would change other parts of the table")


def _after(config: Config, section: Section) -> int:
    """The position of new entries: last, but before rows that no companion rule applies to, which are a kind of
    their own."""
    entries = getattr(config, section)
    return max((i for i, entry in enumerate(entries, 1) if getattr(entry, "companions", True)), default=len(entries))


def _with(config: Config, section: Section, added: Additions) -> tuple[object, ...]:
    entries, at = getattr(config, section), _after(config, section)
    return (
        *entries[:at],
        *(entry for entry in (*added.facts, *added.rows) if section_of(entry) == section),
        *entries[at:],
    )


def difference(before: str, after: str, name: str) -> str:
    """A unified diff, '' where nothing differs."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
