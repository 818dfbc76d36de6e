"""A finding: the verdict on a cell, a job or a backend test case, with where and why. The one value that judging,
evidence, history, answers, views, pages and CI share. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matrix.table.model import Role, Verdict

# These say nothing about a toolchain.
INDETERMINATE: frozenset[Verdict] = frozenset({"unavailable", "infra"})


@dataclass(frozen=True, slots=True)
class Finding:
    """`role` and `stage` say where it lies, `reason` is a stable id, `title` one sentence for a person, `said` what was
    raised or differs, in its own words."""

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
        """What two findings that mean the same have in common: titles may hold numbers."""
        return self.verdict, self.role, self.stage, self.reason

    @property
    def where(self) -> str:
        """Print `converter/check`; '' where nothing failed."""
        return "/".join(part for part in (self.role, self.stage) if part)

    def without_words(self) -> Finding:
        """Return the finding without what was raised, which every run may word in its own way."""
        return replace(self, said="")

    def document(self, *names: str) -> dict[str, Any]:
        """Return these of its fields, in this order, as JSON-ready data."""
        return {name: getattr(self, name) for name in names}
