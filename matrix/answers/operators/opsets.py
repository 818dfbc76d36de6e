"""Operators as models use them: what an environment reported of a file, and since which opset each form exists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Operators of the default domain go by their bare name, others by `domain.Type`; as converter/graph.py spells them.
History = Mapping[str, Sequence[int]]
"""{operator: the opsets that gave it a new form, ascending}."""


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """One way of using an operator. `modes` are its texts and integers among the attributes, by name; `given` has a
    1 for every input that is there and a 0 for one left out, at most eight."""

    operator: str
    modes: tuple[tuple[str, str | int], ...] = ()
    given: str = ""

    def __str__(self) -> str:
        modes = ", ".join(f"{name}={value}" for name, value in self.modes)
        return f"{self.operator}({modes})" if modes else self.operator


def uses(facts: Mapping[str, Any]) -> tuple[Use, ...]:
    """The uses among the facts of an export, an inspection or an alteration; empty where there are none, as in what
    was observed before they were reported. Entries of another shape are left out: a worker is not trusted."""
    found = facts.get("uses")
    return tuple(_use(item) for item in found if _is_use(item)) if isinstance(found, list) else ()


def since(history: History, operator: str, opset: int) -> int | None:
    """The form of an operator that a file of this opset has; None where the history does not know it."""
    return max((form for form in history.get(operator, ()) if form <= opset), default=None)


def _is_use(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("operator"), str) and isinstance(item.get("modes"), dict)


def _use(item: Mapping[str, Any]) -> Use:
    modes = tuple(sorted((str(name), value) for name, value in item["modes"].items() if isinstance(value, (str, int))))
    return Use(item["operator"], modes, str(item.get("given", "")))
