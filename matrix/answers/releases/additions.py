"""Decide which entries the table gets for new releases, and put them into its text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from packaging.version import InvalidVersion, Version

from matrix.answers.releases.survey import Fact, NewRow, ProposedRow, Survey, beside
from matrix.judging.reasons import known_reasons
from matrix.table.editing import apply_edits, flow, insert_entries
from matrix.table.model import Config, ConverterRow, ExporterRow, OnnxRelease, TorchRelease
from matrix.table.source import TableSource

Section = Literal["onnx", "torch", "exporters", "converters"]
_SECTIONS: dict[type, Section] = {
    OnnxRelease: "onnx",
    TorchRelease: "torch",
    ExporterRow: "exporters",
    ConverterRow: "converters",
}

_NOTE = re.compile(r"^\s*# No lock for (\S+) ([^\s,:]+)(?: beside ([^\s,:]+))?", re.MULTILINE)


@dataclass(frozen=True)
class Additions:
    """New entries of the table, and notes on releases that cannot be locked."""

    facts: tuple[Fact, ...]
    rows: tuple[NewRow, ...]
    notes: tuple[tuple[Section, str], ...]

    @property
    def lines(self) -> dict[Section, list[str]]:
        """Return the new lines by section, without indentation."""
        lines = [
            *((section_of(fact), _line(fact)) for fact in self.facts),
            *((section, f"# {note}") for section, note in self.notes),
            *((section_of(row), _line(row)) for row in self.rows),
        ]
        found: dict[Section, list[str]] = {}
        for section, line in lines:
            found.setdefault(section, []).append(line)
        return found


def noted(text: str) -> frozenset[tuple[str, Version]]:
    """Return the releases that notes in the table record as impossible to lock, in the form that `survey` takes."""
    found = set()
    for package, version, family in _NOTE.findall(text):
        try:
            found.add((beside(package, family), Version(version)))
        except InvalidVersion:
            continue
    return frozenset(found)


def additions(survey: Survey) -> Additions:
    """Return rows that can be locked, with the facts they rest on, and a note and facts for each release that cannot.

    Undecided releases, and those that may become lockable, are left for a later run.
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
    return _SECTIONS[type(entry)]


def _line(entry: Fact | NewRow) -> str:
    """Write an entry as one line of its section, without defaults."""
    stated = {name: value for name, value in entry if name in entry.model_fields_set and value is not None}
    if stated.get("via") == ("torchscript",):
        del stated["via"]
    return f"- {flow(stated)}"


def changed_table(source: TableSource, added: Additions) -> str:
    """Return the text of the table with the additions after the last entries of their kind.

    Raises ConfigError, naming the place, if a section is not written as one entry a line, or if the result would not
    read as the table with the additions.
    """
    config = Config.model_validate(source.data)
    edits, sections = [], dict[str, object]()
    for section, lines in added.lines.items():
        entries = getattr(config, section)
        # Rows to which no companion rule applies stay last.
        at = max((i for i, entry in enumerate(entries, 1) if getattr(entry, "companions", True)), default=len(entries))
        new = [entry for entry in (*added.facts, *added.rows) if section_of(entry) == section]
        edits.append(insert_entries(source, (section, at - 1), lines))
        sections[section] = (*entries[:at], *new, *entries[at:])
    return apply_edits(source, edits, config.model_copy(update=sections), known_reasons())
