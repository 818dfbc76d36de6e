"""The steps that bring the issues of regressions up to date: planned as pure data, and carried out one by one.

A hidden line at the head of its body has the regression of an issue, its last state, standing or mended, and a hash of
the text below it. So a person's words in a body stay until its cells change, and an issue that a person closed stays
closed: only one that was closed as mended is reopened.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from matrix.outputs.ci.reports import IssueText

LABEL = "compatibility"

# Comments on closing.
MENDED = "Mended: every cell of this regression that was measured matches again."
RETIRED = "Closed: the row is no longer in the table, so it will not be measured again."

_MARK = re.compile(r"<!-- torch-tf-matrix regression ([0-9a-f]{8,64}) (standing|mended) ([0-9a-f]{16}) -->")

State = Literal["open", "closed"]
Kind = Literal["open", "update", "close", "reopen"]


@dataclass(frozen=True)
class Issue:
    """An issue as the tracker has it."""

    number: int
    state: State
    title: str
    body: str


@dataclass(frozen=True)
class IssueStep:
    """One step. `number` is that of the issue, None for a new one; fields that are None stay as they are."""

    kind: Kind
    said: str
    number: int | None = None
    title: str | None = None
    body: str | None = None
    state: State | None = None
    comment: str | None = None


@dataclass(frozen=True)
class Steps:
    """The steps of this call, and the number of regressions whose issue has to wait for the next one."""

    steps: tuple[IssueStep, ...]
    postponed: int


class Writes(Protocol):
    """A tracker of issues."""

    def create(self, title: str, body: str) -> int: ...

    def comment(self, number: int, text: str) -> None: ...

    def change(self, number: int, title: str | None, body: str | None, state: State | None) -> None: ...


def steps(wanted: Sequence[IssueText], over: Mapping[str, str], issues: Iterable[Issue], most: int) -> Steps:
    """Plan the steps from the regressions that stand (`wanted`), the keys of those that are over, with their comment,
    and the existing issues; at most `most` new ones. The issue of a regression that is merely unknown stays."""
    known = _by_key(issues)
    found: list[IssueStep] = []
    new = 0
    for text in wanted:
        if text.key in known:
            found += _kept(text, *known[text.key])
            continue
        new += 1
        if new <= most:
            body = _marked(text, "standing")
            found.append(IssueStep("open", f"open an issue: {text.title} ({text.cells} cells)", None, text.title, body))
    standing = {text.key for text in wanted}
    for key, (issue, mark) in known.items():
        # An open one that is marked as mended was reopened by a person.
        if key in over and key not in standing and issue.state == "open" and mark[2] == "standing":
            body = issue.body.replace(mark[0], mark[0].replace(" standing ", " mended "))
            said = f"close #{issue.number}: {'mended' if over[key] == MENDED else 'no longer a row of the table'}"
            found.append(IssueStep("close", said, issue.number, None, body, "closed", over[key]))
    return Steps(tuple(found), max(0, new - most))


def carry_out(step: IssueStep, tracker: Writes) -> None:
    """Carry out one step. The comment is first: after a failure, twice is better than never."""
    if step.number is None:
        tracker.create(step.title or "", step.body or "")
        return
    if step.comment is not None:
        tracker.comment(step.number, step.comment)
    tracker.change(step.number, step.title, step.body, step.state)


def _kept(text: IssueText, issue: Issue, mark: re.Match[str]) -> list[IssueStep]:
    """Plan the step for the issue of a regression that stands."""
    _, was, written = mark.groups()
    if issue.state == "closed" and was == "standing":
        return []
    body = _marked(text, "standing")
    if issue.state == "closed" or was == "mended":
        comment = f"Back: {text.cells} cell{'s' if text.cells != 1 else ''} broke again in the same way."
        said = f"reopen #{issue.number}: {text.title} ({text.cells} cells)"
        return [IssueStep("reopen", said, issue.number, text.title, body, "open", comment)]
    if written != _hash(text):
        said = f"update #{issue.number}: now {text.cells} cells"
        return [IssueStep("update", said, issue.number, text.title, body)]
    return []


def _by_key(issues: Iterable[Issue]) -> dict[str, tuple[Issue, re.Match[str]]]:
    """Return the issue of each regression: of several the open one, else the newest."""
    found: dict[str, tuple[Issue, re.Match[str]]] = {}
    for issue in sorted(issues, key=lambda issue: (issue.state == "open", issue.number)):
        if mark := _MARK.match(issue.body):
            found[mark[1]] = issue, mark
    return found


def _marked(text: IssueText, state: Literal["standing", "mended"]) -> str:
    return f"<!-- torch-tf-matrix regression {text.key} {state} {_hash(text)} -->\n{text.body}"


def _hash(text: IssueText) -> str:
    return hashlib.sha256(f"{text.title}\n{text.body}".encode()).hexdigest()[:16]
