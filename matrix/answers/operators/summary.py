"""What one converter made of the backend test cases, judged; and what that says of each operator. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from matrix.answers.operators.opsets import History, Use
from matrix.judging.finding import Finding

if TYPE_CHECKING:
    from matrix.table.model import Verdict

Status = Literal["supported", "partial", "unsupported", "wrong", "failing"]

UNAVAILABLE: Verdict = "unavailable"

# In a case about another operator it only brings a number in, as a subgraph cannot do otherwise.
_COMPANION = "Constant"

Key = TypeVar("Key")

# What fails because of how something in a file is called says nothing of operators.
OF_NAMES = frozenset({"input-name-lost", "invalid-node-name"})

# Of schema 1, in which there was one converter, also of cases.json: its release went by this name.
FIRST = {"onnx_tf": "onnx-tf"}

Form = tuple[str, int | None]
"""An operator and the opset that gave it the form a file has; None where the converter's onnx knows no form of it."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One backend test case and what it came to: `unavailable` where nothing can be said."""

    name: str
    suite: str
    forms: tuple[Form, ...]
    uses: tuple[Use, ...]
    finding: Finding

    @property
    def counts(self) -> bool:
        return self.finding.verdict != UNAVAILABLE

    @property
    def about(self) -> Form | None:
        """The one operator that this case is about; None where several take part, or names are what failed."""
        if self.finding.reason in OF_NAMES:
            return None
        others = [form for form in self.forms if form[0] != _COMPANION] or list(self.forms)
        return others[0] if len(others) == 1 else None


@dataclass(frozen=True, slots=True)
class Support:
    """What the cases about one form of an operator say: `supported` all match, `partial` some do; of none that match,
    `wrong` some give other numbers, `unsupported` the converter says so itself, `failing` anything else."""

    status: Status
    cases: int
    matching: int


@dataclass(frozen=True)
class Coverage:
    """`converter` is the row, `package` its converter on the index and `release` that of it, `opset` the newest that
    its onnx knows, `handlers` what the converter claims to convert, `schemas` the forms that its onnx knows."""

    converter: str
    onnx: str
    package: str
    release: str
    opset: int
    cases: tuple[CaseResult, ...]
    handlers: History
    schemas: History

    def support(self) -> Mapping[tuple[str, int], Support]:
        """By operator and form, of every form that a case is about."""
        return self._support

    @cached_property
    def about(self) -> Mapping[tuple[str, int], tuple[CaseResult, ...]]:
        """The cases that count, by the form they are about."""
        found: dict[tuple[str, int], list[CaseResult]] = {}
        for case in self.cases:
            form = case.about if case.counts else None
            if form is not None and form[1] is not None:
                found.setdefault((form[0], form[1]), []).append(case)
        return {form: tuple(found[form]) for form in sorted(found)}

    @cached_property
    def _support(self) -> Mapping[tuple[str, int], Support]:
        return {form: support_of(cases) for form, cases in self.about.items()}

    @property
    def counted(self) -> Counter[str]:
        """How many cases have each verdict."""
        return Counter(case.finding.verdict for case in self.cases)

    def to_json(self) -> dict[str, Any]:
        """Plain data; what repeats is written once: texts, forms and uses go by their number."""
        texts, forms, uses = _Numbers[str](), _Numbers[Form](), _Numbers[Use]()
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
            "converter": self.converter,
            "onnx": self.onnx,
            "package": self.package,
            "release": self.release,
            "opset": self.opset,
            "texts": list(texts.seen),
            "forms": [list(form) for form in forms.seen],
            "uses": [[use.operator, [list(mode) for mode in use.modes], use.given] for use in uses.seen],
            "cases": cases,
            "handlers": {operator: list(versions) for operator, versions in self.handlers.items()},
            "schemas": {operator: list(versions) for operator, versions in self.schemas.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Coverage:
        """The inverse of `to_json`, of data this program wrote itself."""
        texts: list[str] = data["texts"]
        forms: list[Form] = [(operator, since) for operator, since in data["forms"]]
        uses = [
            Use(operator, tuple((name, value) for name, value in modes), given)
            for operator, modes, given in data["uses"]
        ]

        @cache
        def finding(verdict: int, stage: int, reason: int, said: int) -> Finding:
            return Finding(
                cast("Verdict", texts[verdict]), "converter", texts[stage], texts[reason] or None, said=texts[said]
            )

        return cls(
            data["converter"],
            data["onnx"],
            *_release(data),
            data["opset"],
            tuple(
                CaseResult(
                    name,
                    texts[suite],
                    tuple([forms[number] for number in of]),
                    tuple([uses[number] for number in used]),
                    finding(*found),
                )
                for name, suite, of, used, *found in data["cases"]
            ),
            {operator: tuple(versions) for operator, versions in data["handlers"].items()},
            {operator: tuple(versions) for operator, versions in data["schemas"].items()},
        )


def _release(data: Mapping[str, Any]) -> tuple[str, str]:
    """The converter's package, and its release."""
    for name, package in FIRST.items():
        if name in data:
            return package, data[name]
    return data["package"], data["release"]


def support_of(cases: Iterable[CaseResult]) -> Support:
    """Of cases that count, at least one."""
    counted = Counter(case.finding.verdict for case in cases)
    total, matching = counted.total(), counted["match"]
    status: Status = (
        "supported"
        if matching == total
        else "partial"
        if matching
        else "wrong"
        if counted["mismatch"]
        else "unsupported"
        if counted["unsupported"]
        else "failing"
    )
    return Support(status, total, matching)


class _Numbers(Generic[Key]):
    """Numbers things in the order in which they come up."""

    def __init__(self) -> None:
        self.seen: dict[Key, int] = {}

    def of(self, key: Key) -> int:
        return self.seen.setdefault(key, len(self.seen))
