"""The survey of new releases as text and JSON."""

from __future__ import annotations

from typing import Any

from matrix.answers.releases.additions import Additions, section_of
from matrix.answers.releases.survey import ProposedRow, Survey

SCHEMA = 1


def text(survey: Survey) -> str:
    """Return one line for each release, followed by what was tried before it."""
    lines = []
    for proposal in survey.proposals:
        lines.append(f"{proposal.package} {proposal.version}: {_outcome(proposal)}")
        shown = proposal.refused if proposal.lock else proposal.refused[:-1]
        lines += [f"    not {refusal.row.id}: {refusal.why}" for refusal in shown]
    lines += [f"{item.package} {item.version}: left out, {item.why}" for item in survey.left_out]
    lines += [f"{package}: unknown, {why}" for package, why in survey.unlisted]
    return "\n".join(lines) or f"nothing new as of {survey.as_of}"


def added(additions: Additions) -> str:
    """Return what was written, and the next step."""
    parts = [
        *(f"{section_of(fact)} {fact.version}" for fact in additions.facts),
        *(row.id for row in additions.rows),
        *(f"a note in `{section}`" for section, _ in additions.notes),
    ]
    rest = "; `python -m matrix lock` makes the locks" if additions.rows else ""
    return f"added {', '.join(parts)}{rest}"


def _outcome(proposal: ProposedRow) -> str:
    match proposal.standing:
        case "lockable":
            assert proposal.row is not None and proposal.lock is not None
            return f"{proposal.row.id}, lockable: Python {proposal.lock.python}, {len(proposal.lock.packages)} packages"
        case "undecided":
            return f"undecided, {proposal.undecided}"
        case "unsatisfiable":
            last = proposal.refused[-1]
            later = f" (may change until {proposal.until})" if proposal.until else ""
            return f"{last.row.id}, unsatisfiable{later}: {last.why}"


def document(survey: Survey, added: Additions, diff: str, written: bool) -> dict[str, Any]:
    """Return the survey as JSON-ready data. `diff` is the change of the table, `written` whether it was made."""
    return {
        "schema": SCHEMA,
        "as_of": survey.as_of.isoformat(),
        "proposals": [_proposal(proposal) for proposal in survey.proposals],
        "left_out": [
            {"package": item.package, "version": str(item.version), "why": item.why} for item in survey.left_out
        ],
        "not_known": [{"package": package, "why": why} for package, why in survey.unlisted],
        "rows": [row.id for row in added.rows],
        "diff": diff,
        "written": written,
    }


def _proposal(proposal: ProposedRow) -> dict[str, Any]:
    lock, facts, row = proposal.lock, proposal.facts, proposal.row
    return {
        "package": proposal.package,
        "version": str(proposal.version),
        "outcome": proposal.standing,
        "section": section_of(row) if row else None,
        "row": row.model_dump(mode="json", exclude_unset=True) if row else None,
        "facts": facts.model_dump(mode="json", exclude_none=True) if facts else None,
        "python": lock.python if lock else None,
        "as_of": lock.as_of.isoformat() if lock else None,
        "packages": lock.packages if lock else None,
        "refused": [{"row": refusal.row.id, "why": refusal.why} for refusal in proposal.refused],
        "may_change_until": proposal.until.isoformat() if proposal.until else None,
        "why_undecided": proposal.undecided or None,
    }
