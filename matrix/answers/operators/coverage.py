"""Operators as files use them, and the judged backend test cases of one converter, by operator. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from matrix.judging.finding import Finding

if TYPE_CHECKING:
    from matrix.table.model import Verdict

Status = Literal["supported", "partial", "unsupported", "wrong", "failing"]
Key = TypeVar("Key")

# Operators of the default domain go by their bare name, others by `domain.Type`; as converter/graph.py spells them.
History = Mapping[str, Sequence[int]]
"""{operator: the opsets that gave it a new form, ascending}."""

OperatorForm = tuple[str, int | None]
"""An operator and the opset that gave it the form in a file; None if the converter's onnx does not know it."""

UNAVAILABLE: Verdict = "unavailable"

# Failures with these reasons are about names in the file, not about operators.
OF_NAMES = frozenset({"input-name-lost", "invalid-node-name"})

# In cases about other operators it only supplies a number, which a subgraph cannot do in another way.
_COMPANION = "Constant"

_PLAIN = ("converter", "onnx", "package", "release", "opset")


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """One way of using an operator. `modes` are its string and integer attributes, by name; `given` has a 1 for every
    input that is present and a 0 for one that is omitted, at most eight."""

    operator: str
    modes: tuple[tuple[str, str | int], ...] = ()
    given: str = ""

    def __str__(self) -> str:
        modes = ", ".join(f"{name}={value}" for name, value in self.modes)
        return f"{self.operator}({modes})" if modes else self.operator


def uses(facts: Mapping[str, Any]) -> tuple[Use, ...]:
    """Read the uses from the facts of an export, an inspection or an alteration. Return () if there are none, as in
    observations made before they were reported. Skip malformed entries: workers are not trusted."""
    found = facts.get("uses")
    return tuple(
        Use(
            item["operator"],
            tuple(sorted((str(name), value) for name, value in item["modes"].items() if isinstance(value, (str, int)))),
            str(item.get("given", "")),
        )
        for item in (found if isinstance(found, list) else ())
        if isinstance(item, dict) and isinstance(item.get("operator"), str) and isinstance(item.get("modes"), dict)
    )


def since(history: History, operator: str, opset: int) -> int | None:
    """Return the form that an operator has in a file of this opset; None if the history does not know the operator."""
    return max((form for form in history.get(operator, ()) if form <= opset), default=None)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One backend test case and its finding: `unavailable` if it proves nothing."""

    name: str
    suite: str
    forms: tuple[OperatorForm, ...]
    uses: tuple[Use, ...]
    finding: Finding

    @property
    def counts(self) -> bool:
        return self.finding.verdict != UNAVAILABLE

    @property
    def about(self) -> OperatorForm | None:
        """The one operator that this case tests; None if there are several, or if it failed because of a name."""
        if self.finding.reason in OF_NAMES:
            return None
        others = [form for form in self.forms if form[0] != _COMPANION] or list(self.forms)
        return others[0] if len(others) == 1 else None


@dataclass(frozen=True, slots=True)
class Support:
    """Support for one form of an operator, from its cases: `supported` if all match, `partial` if some do. If none
    match: `wrong` if some give other numbers, `unsupported` if the converter itself says so, else `failing`."""

    status: Status
    cases: int
    matching: int


@dataclass(frozen=True)
class Coverage:
    """`converter` is the row, `package` the converter's package and `release` its version; `opset` is the newest that
    its onnx knows, `handlers` the forms the converter claims to convert, `schemas` the forms that its onnx knows."""

    converter: str
    onnx: str
    package: str
    release: str
    opset: int
    cases: tuple[CaseResult, ...]
    handlers: History
    schemas: History

    @cached_property
    def about(self) -> Mapping[tuple[str, int], tuple[CaseResult, ...]]:
        """The cases that count, by the form they test."""
        found: dict[tuple[str, int], list[CaseResult]] = {}
        for case in self.cases:
            form = case.about if case.counts else None
            if form is not None and form[1] is not None:
                found.setdefault((form[0], form[1]), []).append(case)
        return {form: tuple(found[form]) for form in sorted(found)}

    @cached_property
    def support(self) -> Mapping[tuple[str, int], Support]:
        """By operator and form, for every form that a case tests."""
        return {form: support_of(cases) for form, cases in self.about.items()}

    @property
    def counted(self) -> Counter[str]:
        """The number of cases with each verdict."""
        return Counter(case.finding.verdict for case in self.cases)

    def to_json(self) -> dict[str, Any]:
        """Return plain data. Repeated values are written once: texts, forms and uses are referred to by number."""
        texts, forms, uses = Numbering[str](), Numbering[OperatorForm](), Numbering[Use]()
        cases = [
            [
                case.name,
                texts.of(case.suite),
                [forms.of(form) for form in case.forms],
                [uses.of(use) for use in case.uses],
                *(texts.of(text or "") for text in (found.verdict, found.stage, found.reason, found.said)),
            ]
            for case in self.cases
            for found in (case.finding,)
        ]
        return {
            "schema": 2,
            **{name: getattr(self, name) for name in _PLAIN},
            "texts": list(texts.seen),
            "forms": list(forms.seen),
            "uses": [(use.operator, use.modes, use.given) for use in uses.seen],
            "cases": cases,
            "handlers": dict(self.handlers),
            "schemas": dict(self.schemas),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Coverage:
        """Invert `to_json`. The data must have been written by this program."""
        texts: list[str] = data["texts"]
        forms: list[OperatorForm] = [(operator, since) for operator, since in data["forms"]]
        uses = [Use(operator, tuple(map(tuple, modes)), given) for operator, modes, given in data["uses"]]

        @cache
        def finding(verdict: int, stage: int, reason: int, said: int) -> Finding:
            return Finding(
                cast("Verdict", texts[verdict]), "converter", texts[stage], texts[reason] or None, said=texts[said]
            )

        plain = in_second_schema(data)
        handlers, schemas = (
            {operator: tuple(versions) for operator, versions in data[name].items()} for name in ("handlers", "schemas")
        )
        cases = tuple(
            CaseResult(
                name,
                texts[suite],
                tuple([forms[number] for number in of]),
                tuple([uses[number] for number in used]),
                finding(*found),
            )
            for name, suite, of, used, *found in data["cases"]
        )
        return cls(**{name: plain[name] for name in _PLAIN}, cases=cases, handlers=handlers, schemas=schemas)


def in_second_schema(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return data of schema 1, of this module's or of cases.json, as of schema 2: the only converter was onnx-tf, and
    `onnx_tf` its release."""
    first = data.get("schema") == 1 and "onnx_tf" in data
    return {**data, "package": "onnx-tf", "release": data["onnx_tf"]} if first else data


def support_of(cases: Iterable[CaseResult]) -> Support:
    """Summarise cases that count, at least one."""
    counted = Counter(case.finding.verdict for case in cases)
    total, matching = counted.total(), counted["match"]
    status: Status
    if matching:
        status = "supported" if matching == total else "partial"
    else:
        status = "wrong" if counted["mismatch"] else "unsupported" if counted["unsupported"] else "failing"
    return Support(status, total, matching)


class Numbering(Generic[Key]):
    """Numbers values in the order in which they are first seen."""

    def __init__(self) -> None:
        self.seen: dict[Key, int] = {}

    def of(self, value: Key) -> int:
        """Return the number of a value, a new one if it is seen for the first time."""
        return self.seen.setdefault(value, len(self.seen))
