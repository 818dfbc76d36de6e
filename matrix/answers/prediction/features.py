"""What of a file may matter to a converter, as features that can be counted. Pure.

A file fails where one of its features does. An operator counts in the form that the converter's onnx takes it for: one
that knows opset 15 reads a Resize of opset 18 as that of opset 13.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from matrix.answers.evidence import Profile
from matrix.answers.operators.coverage import History, Use, since
from matrix.families.family import Limit

# Any number of inputs is the same to these (the operators' definitions).
_VARIADIC = frozenset({"Concat", "Einsum", "Loop", "Max", "Mean", "Min", "Scan", "SequenceConstruct", "Sum"})


class Feature(NamedTuple):
    """One thing about a file. `kind` is

    - "writer": the exporter
    - "form": an operator in its form
    - "mode": a form with a value of an attribute
    - "together": a form with exactly these texts among its attributes
    - "beyond": an operator in a form newer than the converter's onnx knows, which may pass as an older one
    - "odd": the same with an attribute or an input that the older form is not known to have
    - "alien": an operator that no ONNX release defines
    - "unclaimed": a form that the converter has no handler for
    - "limit": an attribute's value that the converter refuses
    """

    kind: str
    operator: str = ""
    form: int | None = None
    detail: str = ""

    @property
    def attribute(self) -> str:
        """Of a mode, which attribute it is of."""
        return self.detail.partition("=")[0]

    def __str__(self) -> str:
        form = f"{self.operator}-{self.form}" if self.form is not None else self.operator
        match self.kind:
            case "writer":
                return f"files of {self.detail}"
            case "mode" | "together" | "limit" | "odd":
                return f"{form} with {self.detail}"
            case _:
                return form


class Shape(NamedTuple):
    """What a form of an operator was seen with: attributes, and how many inputs at most."""

    attributes: frozenset[str]
    inputs: int


_NOTHING = Shape(frozenset(), 0)

Shapes = Mapping[tuple[str, int | None], Shape]


def shapes(profiles: Iterable[Profile], cases: Iterable[tuple[Mapping[str, int | None], tuple[Use, ...]]],
           history: History) -> Shapes:  # fmt: skip
    """From files that were written and from backend test cases: (form of each operator, uses)."""
    found: dict[tuple[str, int | None], Shape] = {}

    def add(use: Use, form: int | None) -> None:
        known = found.get((use.operator, form), _NOTHING)
        names = {name for name, _ in use.modes}
        if not names <= known.attributes or len(use.given) > known.inputs:
            found[use.operator, form] = Shape(known.attributes | names, max(known.inputs, len(use.given)))

    # Profiles share their uses where they are equal.
    distinct = {(id(profile.uses), profile.opset_written): profile for profile in profiles}
    for (_, opset), profile in distinct.items():
        if opset is not None:
            for use in profile.uses:
                add(use, since(history, use.operator, opset))
    for forms, uses in cases:
        for use in uses:
            add(use, forms.get(use.operator))
    return found


@dataclass(frozen=True)
class Reader:
    """How one converter sees files. `limits` are what it refuses, `newest` is the newest opset its onnx knows,
    `handlers` what it claims, {} where nobody asked it. `history` tells the forms up to the opset `told`: beyond that a
    form is the opset itself. Kinds that are `ignored` are left out."""

    limits: Sequence[Limit]
    newest: int
    history: History
    told: int
    shapes: Shapes
    handlers: History = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        by_mode = {(limit.operator, limit.attribute, limit.value): limit for limit in self.limits}
        object.__setattr__(self, "_limits", by_mode)
        object.__setattr__(self, "_made", {})
        object.__setattr__(self, "_formed", {})

    def features(self, profile: Profile) -> tuple[Feature, ...]:
        """Each once; the writer comes first."""
        opset = profile.opset_written or profile.opset
        found = {} if "writer" in self.ignored else {Feature("writer", detail=profile.exporter): None}
        made: dict[tuple[Use, int], dict[Feature, None]] = self._made  # type: ignore[attr-defined]
        for use in profile.uses:
            if (use, opset) not in made:
                features = self._of_use(use, opset)
                made[use, opset] = {feature: None for feature in features if feature.kind not in self.ignored}
            found |= made[use, opset]
        return tuple(found)

    def _of_use(self, use: Use, opset: int) -> Iterator[Feature]:
        known = min(opset, self.newest)
        if known > self.told:
            yield from self.of_form(use, known)
            return
        if use.operator not in self.history:
            yield Feature("alien", use.operator)
            return
        form, written = since(self.history, use.operator, known), since(self.history, use.operator, opset)
        yield from self.of_form(use, form)
        if written != form:
            yield self._beyond(use, form, written)

    def _beyond(self, use: Use, form: int | None, written: int | None) -> Feature:
        shape = self.shapes.get((use.operator, form))
        if form is not None and shape is not None:
            more = sorted({name for name, _ in use.modes} - shape.attributes)
            if more:
                return Feature("odd", use.operator, form, more[0])
            if len(use.given) > shape.inputs and use.operator not in _VARIADIC:
                return Feature("odd", use.operator, form, f"{len(use.given)} inputs")
        return Feature("beyond", use.operator, written)

    def of_form(self, use: Use, form: int | None) -> tuple[Feature, ...]:
        """The features of a use whose form is known, as in a backend test case."""
        formed: dict[tuple[Use, int | None], tuple[Feature, ...]] = self._formed  # type: ignore[attr-defined]
        if (use, form) not in formed:
            formed[use, form] = tuple(self._of_form(use, form))
        return formed[use, form]

    def _of_form(self, use: Use, form: int | None) -> Iterator[Feature]:
        yield Feature("form", use.operator, form)
        if self.handlers and form in self.history.get(use.operator, (None,)) and not self._claims(use.operator, form):
            yield Feature("unclaimed", use.operator, form)
        if (limit := self._limit_on(use)) is not None:
            yield Feature("limit", use.operator, form, f"{limit.attribute}={limit.value}")
        for name, value in use.modes:
            yield Feature("mode", use.operator, form, f"{name}={value}")
        if texts := ", ".join(f"{name}={value}" for name, value in use.modes if isinstance(value, str)):
            yield Feature("together", use.operator, form, texts)

    def _limit_on(self, use: Use) -> Limit | None:
        """The limit that this use runs into."""
        limits: dict[tuple[str, str, str | int], Limit] = self._limits  # type: ignore[attr-defined]
        return next((limit for mode in use.modes if (limit := limits.get((use.operator, *mode))) is not None), None)

    def _claims(self, operator: str, form: int | None) -> bool:
        return form in self.handlers.get(operator, ())
