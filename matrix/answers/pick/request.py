"""What a user asks for, and the candidates for it by what is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.answers.evidence import Evidence
from matrix.answers.pick.candidates import Candidates
from matrix.answers.pick.constraints import Constraint
from matrix.answers.pick.ranking import Preference, Preferences, Ranked, rank
from matrix.answers.prediction import Predictor
from matrix.table.model import ModelSpec

if TYPE_CHECKING:
    from matrix.app.project import Project


@dataclass(frozen=True)
class PickRequest:
    """What a user asks for. `needs` is a kind of artifact that has to work too."""

    model: ModelSpec
    constraints: tuple[Constraint, ...] = ()
    prefer: Preference = "newest"
    prove: int = 1
    limit: int = 12
    single: bool = False
    remedy: bool = True
    needs: str | None = None


def ranking(
    project: Project, wanted: PickRequest, evidence: Evidence
) -> Callable[[Sequence[Constraint]], list[Ranked]]:
    """Candidates for constraints, best first, by this evidence."""
    predictor = Predictor(project.config, evidence, locks=project.locks)
    prefer = Preferences(evidence.entries).key(wanted.prefer)
    candidates = Candidates(project.offered, project.locks, project.build, wanted.needs)

    def ranked(constraints: Sequence[Constraint]) -> list[Ranked]:
        return rank(candidates.cells(wanted.model, constraints), predictor.predict, prefer)

    return ranked
