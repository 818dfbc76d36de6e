"""The features of a file that may matter to a converter, in a form that can be counted. Pure.

A file fails if one of its features does. An operator counts in the form that the converter's onnx reads it as: one that
knows opset 15 reads a Resize of opset 18 as that of opset 13.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from matrix.answers.evidence import Profile
from matrix.answers.operators import History, Use, since
from matrix.families.family import Limit

# Operators with any number of inputs, by their definition.
_VARIADIC = frozenset({"Concat", "Einsum", "Loop", "Max", "Mean", "Min", "Scan", "SequenceConstruct", "Sum"})


class Feature(NamedTuple):
    """A feature of a file. `kind` is

    - "writer": the exporter
    - "form": an operator in its form
    - "mode": a form with a value of an attribute
    - "together": a form with exactly these string attributes
    - "beyond": an operator in a form newer than the converter's onnx knows, which may pass as an older one
    - "odd": the same, with an attribute or an input that the older form was never seen with
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
        """The attribute of a mode."""
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
    """The attributes that a form of an operator was seen with, and its largest number of inputs."""

    attributes: frozenset[str]
    inputs: int


_NOTHING = Shape(frozenset(), 0)

Shapes = Mapping[tuple[str, int | None], Shape]


def shapes(
    profiles: Iterable[Profile],
    cases: Iterable[tuple[Mapping[str, int | None], tuple[Use, ...]]],
    history: History,
) -> Shapes:
    """Collect shapes from exported files and from backend test cases: (form of each operator, uses)."""
    # Profiles with equal uses share the object.
    distinct = {(id(profile.uses), profile.opset_written): profile for profile in profiles}
    of_files = (
        (use, since(history, use.operator, opset))
        for (_, opset), profile in distinct.items()
        if opset is not None
        for use in profile.uses
    )
    of_cases = ((use, forms.get(use.operator)) for forms, uses in cases for use in uses)
    found: dict[tuple[str, int | None], Shape] = {}
    for use, form in chain(of_files, of_cases):
        known = found.get((use.operator, form), _NOTHING)
        names = {name for name, _ in use.modes}
        if not names <= known.attributes or len(use.given) > known.inputs:
            found[use.operator, form] = Shape(known.attributes | names, max(known.inputs, len(use.given)))
    return found


@dataclass
class Reader:
    """Reads the features of files for one converter. `limits` are values that it refuses, `newest` is the newest opset
    its onnx knows, `handlers` are the forms it claims to convert, {} if it was not asked. `history` has the forms up to
    the opset `documented`: beyond, the form is the opset itself. Features of the `ignored` kinds are left out."""

    limits: Sequence[Limit]
    newest: int
    history: History
    documented: int
    shapes: Shapes
    handlers: History = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    _of_uses: dict[tuple[Use, int], dict[Feature, None]] = field(default_factory=dict)
    _of_forms: dict[tuple[Use, int | None], tuple[Feature, ...]] = field(default_factory=dict)

    @cached_property
    def _limits(self) -> dict[tuple[str, str, str | int], Limit]:
        return {(limit.operator, limit.attribute, limit.value): limit for limit in self.limits}

    def features(self, profile: Profile) -> tuple[Feature, ...]:
        """Return the distinct features of a file, the writer first."""
        opset = profile.opset_written or profile.opset
        found = {} if "writer" in self.ignored else {Feature("writer", detail=profile.exporter): None}
        for use in profile.uses:
            if (use, opset) not in self._of_uses:
                features = (feature for feature in self._of_use(use, opset) if feature.kind not in self.ignored)
                self._of_uses[use, opset] = dict.fromkeys(features)
            found |= self._of_uses[use, opset]
        return tuple(found)

    def _of_use(self, use: Use, opset: int) -> Iterator[Feature]:
        known = min(opset, self.newest)
        if known > self.documented:
            yield from self.of_form(use, known)
        elif use.operator not in self.history:
            yield Feature("alien", use.operator)
        else:
            form, written = (since(self.history, use.operator, number) for number in (known, opset))
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
        """Return the features of a use whose form is known, as in a backend test case."""
        if (use, form) not in self._of_forms:
            self._of_forms[use, form] = tuple(self._of_form(use, form))
        return self._of_forms[use, form]

    def _of_form(self, use: Use, form: int | None) -> Iterator[Feature]:
        operator = use.operator
        yield Feature("form", operator, form)
        known = form in self.history.get(operator, (None,))
        if self.handlers and known and form not in self.handlers.get(operator, ()):
            yield Feature("unclaimed", operator, form)
        limits = (self._limits.get((operator, *mode)) for mode in use.modes)
        if (limit := next(filter(None, limits), None)) is not None:
            yield Feature("limit", operator, form, f"{limit.attribute}={limit.value}")
        for name, value in use.modes:
            yield Feature("mode", operator, form, f"{name}={value}")
        if texts := ", ".join(f"{name}={value}" for name, value in use.modes if isinstance(value, str)):
            yield Feature("together", operator, form, texts)
