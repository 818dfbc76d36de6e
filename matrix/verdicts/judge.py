"""From the observations about a cell to its verdict. Pure: comparisons are handed in as a function.

The order is the order of the work: what failed first is what the cell says, and it names its role, so that an
exporter's failure never counts against a converter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from matrix.store.records import Observation
from matrix.verdicts.matching import Remedy
from matrix.verdicts.outcome import INDETERMINATE, Outcome

if TYPE_CHECKING:
    from matrix.config.model import Role, Verdict

EXPORTER_LEG = "torch-onnxruntime"
CONVERTER_LEG = "onnxruntime-tensorflow"
RELOAD_LEG = "memory-reloaded"
REPEAT = "reference-repeated"

OPSET_NOT_AS_ASKED = "opset-not-as-asked"
BLIND = "outputs-nearly-constant"
ARRAYS_UNREADABLE = "arrays-unreadable"
ARRAYS_MISSING = "arrays-missing"

_UNCOMPARED: dict[str, Verdict] = {ARRAYS_UNREADABLE: "error", ARRAYS_MISSING: "infra"}

_LEG_ROLES: dict[str, Role] = {EXPORTER_LEG: "exporter", CONVERTER_LEG: "converter", RELOAD_LEG: "converter"}

_LEG_WORDS = {
    EXPORTER_LEG: "ONNX Runtime does not compute what torch computed: the exporter changed the model",
    CONVERTER_LEG: "TensorFlow does not compute what ONNX Runtime computes: the conversion is wrong",
    RELOAD_LEG: "the saved artifact does not compute what the converted model did in memory",
}


@dataclass(frozen=True)
class Leg:
    """A comparison of two sets of arrays; `reason` None means equal within tolerance."""

    reason: str | None
    detail: str
    metrics: dict[str, Any]
    hints: tuple[str, ...] = ()
    blind: bool = False


@dataclass(frozen=True)
class Judgement:
    """The verdict on a cell and why. `leg` names the comparison a mismatch broke on."""

    verdict: Verdict
    role: Role | None = None
    stage: str | None = None
    reason: str | None = None
    title: str = ""
    cause: str = ""
    remedies: tuple[Remedy, ...] = ()
    leg: str | None = None
    legs: dict[str, dict[str, Any]] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def indeterminate(self) -> bool:
        return self.verdict in INDETERMINATE


Speak = Callable[[Observation], Outcome | None]
# (reference blob, actual blob, aligned by position rather than by name) -> Leg
Compare = Callable[[str, str, bool], Leg]


def judge(
    opset: int,
    export: Observation | None,
    reference: Observation | None,
    convert: Observation | None,
    speak: Speak,
    compare: Compare,
) -> Judgement:
    """Judge one cell. `speak` gives the outcome of an observation, `compare` a leg of two array files.

    `export` is None for a model that came as an .onnx file: then nothing is said about an exporter.
    """
    remarks: list[str] = []
    if export is not None:
        if (failed := speak(export)) is not None:
            return _failed("exporter", failed)
        if export.facts.get("opset_written") != opset:
            remarks.append(OPSET_NOT_AS_ASKED)
    if convert is None:
        return _missing("converter", remarks)
    if (failed := speak(convert)) is not None:
        return _failed("converter", failed, remarks)
    if reference is None:
        return _missing("reference", remarks)
    if (failed := speak(reference)) is not None:
        return _no_reference(failed, remarks)
    return _numbers(export, reference, convert, compare, remarks)


def _failed(role: Role, found: Outcome, remarks: list[str] | None = None) -> Judgement:
    return Judgement(
        found.verdict,
        role,
        found.stage,
        found.reason,
        found.title,
        found.cause,
        found.remedies,
        remarks=tuple(remarks or ()),
    )


def _missing(role: Role, remarks: list[str]) -> Judgement:
    return Judgement("infra", role, None, "not-observed", f"the {role}'s part was never run", remarks=tuple(remarks))


def _no_reference(found: Outcome, remarks: list[str]) -> Judgement:
    """Without numbers to compare with, a conversion that ran is neither right nor wrong."""
    # `infra` would promise that another try helps; a reference that cannot run this file never will.
    verdict: Verdict = found.verdict if found.verdict in INDETERMINATE else "unavailable"
    return Judgement(
        verdict,
        "reference",
        found.stage,
        found.reason,
        f"converted, but there is no reference to compare with: {found.title}",
        found.cause,
        found.remedies,
        remarks=tuple(remarks),
    )


def _numbers(
    export: Observation | None,
    reference: Observation,
    convert: Observation,
    compare: Compare,
    remarks: list[str],
) -> Judgement:
    names = {
        **({"torch.npz": export.file("torch.npz")} if export is not None else {}),
        "reference.npz": reference.file("reference.npz"),
        "again.npz": reference.file("again.npz"),
        "memory.npz": convert.file("memory.npz"),
        "reloaded.npz": convert.file("reloaded.npz"),
    }
    if missing := [name for name, blob in names.items() if blob is None]:
        return Judgement(
            "infra",
            None,
            "compare",
            ARRAYS_MISSING,
            f"{', '.join(missing)} was not kept",
            remarks=tuple(remarks),
        )
    blob = {name: str(value) for name, value in names.items()}
    repeated = compare(blob["reference.npz"], blob["again.npz"], False)
    if repeated.reason is not None:
        return Judgement(
            "unavailable",
            "reference",
            "run",
            "not-deterministic",
            "ONNX Runtime gave other numbers when asked twice: the model is not deterministic and cannot be judged",
            legs={REPEAT: repeated.metrics},
            remarks=tuple(remarks),
        )
    legs = {
        **({EXPORTER_LEG: compare(blob["torch.npz"], blob["reference.npz"], True)} if export is not None else {}),
        CONVERTER_LEG: compare(blob["reference.npz"], blob["memory.npz"], False),
        RELOAD_LEG: compare(blob["memory.npz"], blob["reloaded.npz"], False),
    }
    if legs[CONVERTER_LEG].blind:
        remarks.append(BLIND)
    measured = {name: leg.metrics for name, leg in legs.items()}
    for name, leg in legs.items():
        if leg.reason is not None:
            return Judgement(
                # Arrays that cannot be read were not compared, so nothing is known of the numbers.
                _UNCOMPARED.get(leg.reason, "mismatch"),
                _LEG_ROLES[name],
                "compare",
                leg.reason,
                f"{_LEG_WORDS[name]}. {leg.detail}",
                leg=name,
                legs=measured,
                metrics=leg.metrics,
                remarks=(*remarks, *leg.hints),
            )
    return Judgement("match", legs=measured, metrics=legs[CONVERTER_LEG].metrics, remarks=tuple(remarks))
