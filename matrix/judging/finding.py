"""A finding: the verdict on a cell, a job or a backend test case, where it failed and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matrix.table.model import Role, Verdict

# Verdicts that say nothing about a toolchain.
INDETERMINATE: frozenset[Verdict] = frozenset({"unavailable", "infra"})


@dataclass(frozen=True, slots=True)
class Finding:
    """`role` and `stage` say where it failed, `reason` is a stable id, `title` one sentence for a person, `said` the
    text of what was raised or differs."""

    verdict: Verdict
    role: Role | None = None
    stage: str | None = None
    reason: str | None = None
    title: str = ""
    said: str = ""

    @property
    def good(self) -> bool:
        """Whether it is a match."""
        return self.verdict == "match"

    @property
    def indeterminate(self) -> bool:
        """Whether it says nothing about a toolchain."""
        return self.verdict in INDETERMINATE

    @property
    def kind(self) -> tuple[str | None, ...]:
        """The part that is equal in findings with the same meaning: titles may hold numbers."""
        return self.verdict, self.role, self.stage, self.reason

    @property
    def where(self) -> str:
        """Role and stage as text, `converter/check`; '' where nothing failed."""
        return "/".join(part for part in (self.role, self.stage) if part)

    @property
    def sentence(self) -> str:
        """The title, with what was raised where the title does not hold it already."""
        known = not self.said or self.said.partition(": ")[2] in self.title
        return self.title if known else f"{self.title} ({self.said})"

    def without_words(self) -> Finding:
        """Return the finding without the text that was raised, which may differ from run to run."""
        return replace(self, said="")

    def document(self, *names: str) -> dict[str, Any]:
        """Return these of its fields, in this order, as JSON-ready data."""
        return {name: getattr(self, name) for name in names}
