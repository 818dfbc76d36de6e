"""From the observations about a cell to its verdict. Pure: comparisons are handed in as a function.

The order is the order of the work: what failed first is what the cell says, and it names its role, so that an
exporter's failure never counts against a converter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from matrix.store.records import Observation
from matrix.verdicts.finding import Finding
from matrix.verdicts.matching import Remedy
from matrix.verdicts.outcome import Outcome

if TYPE_CHECKING:
    from matrix.config.model import Role, Verdict

EXPORTER_LEG = "torch-onnxruntime"
GIVEN_LEG = "given-onnxruntime"
# Where a file was changed and nothing but the file itself says what it means.
ALTERED_LEG = "original-altered"
CONVERTER_LEG = "onnxruntime-tensorflow"
# Where ONNX Runtime cannot run the file.
DIRECT_LEG = "torch-tensorflow"
GIVEN_DIRECT_LEG = "given-tensorflow"
RELOAD_LEG = "memory-reloaded"
TFLITE_LEG = "reloaded-tflite"
REPEAT = "reference-repeated"
SOURCE_REPEAT = "torch-repeated"

OPSET_NOT_AS_ASKED = "opset-not-as-asked"
REFERENCE_ABSENT = "onnxruntime-leg-absent"
LITE_ONLY = "tensorflow-itself-matches"
BLIND = "outputs-nearly-constant"
ARRAYS_UNREADABLE = "arrays-unreadable"
ARRAYS_MISSING = "arrays-missing"

# The oldest opset that ONNX Runtime runs (its documentation on compatibility).
_OLDEST_RUN = 7

_LITE = ("tflite", "invoke")

_OTHER_INPUTS = Remedy(
    id="other-inputs",
    text="Give it inputs it takes: --input NAME=SHAPE:DTYPE:LOW..HIGH (HIGH is not drawn), or --inputs FILE.npz.",
)

_UNCOMPARED: dict[str, Verdict] = {ARRAYS_UNREADABLE: "error", ARRAYS_MISSING: "infra"}

_LEG_ROLES: dict[str, Role] = {EXPORTER_LEG: "exporter", GIVEN_LEG: "reference", ALTERED_LEG: "reference"}

_LEG_WORDS = {
    EXPORTER_LEG: "ONNX Runtime does not compute what torch computed: the exporter changed the model",
    GIVEN_LEG: "ONNX Runtime does not compute the reference outputs given: they are of another model or other inputs",
    ALTERED_LEG: "the file as it was changed does not compute what it computed before: the change is no remedy",
    CONVERTER_LEG: "TensorFlow does not compute what ONNX Runtime computes: the conversion is wrong",
    DIRECT_LEG: "TensorFlow does not compute what torch computed: the export or the conversion is wrong",
    GIVEN_DIRECT_LEG: "TensorFlow does not compute the reference outputs given",
    RELOAD_LEG: "the saved artifact does not compute what the converted model did in memory",
    TFLITE_LEG: "TensorFlow Lite does not compute what the saved artifact does",
}


@dataclass(frozen=True)
class Leg:
    """A comparison of two sets of arrays; `reason` None means equal within tolerance, else `where`, `case/output`,
    is the worst of them."""

    reason: str | None
    detail: str
    metrics: dict[str, Any]
    hints: tuple[str, ...] = ()
    blind: bool = False
    where: str | None = None


@dataclass(frozen=True)
class Judgement:
    """The finding on a cell and why. `leg` names the comparison a mismatch broke on, `worst` the `case/output` there.
    `general` as in Outcome."""

    finding: Finding
    cause: str = ""
    remedies: tuple[Remedy, ...] = ()
    leg: str | None = None
    legs: dict[str, dict[str, Any]] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    worst: str | None = None
    general: bool = False


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
    altered: Sequence[Observation] = (),
    original: Observation | None = None,
) -> Judgement:
    """Judge one cell. `speak` gives the outcome of an observation, `compare` a leg of two array files.

    `export` may be the inspection of an .onnx file, or None where nobody looked into it: then nothing is said about an
    exporter. `altered` are the changes made to the file before it was run and converted, `original` is the reference
    job of the file before them: nothing else says what a user's .onnx file without given outputs means.
    """
    remarks: list[str] = []
    if export is not None:
        if (failed := speak(export)) is not None:
            return _failed(failed)
        if export.kind == "export" and export.facts.get("opset_written") != opset:
            remarks.append(OPSET_NOT_AS_ASKED)
        if (random := _not_repeatable(export, compare, remarks)) is not None:
            return random
    for alteration in altered:
        if (failed := speak(alteration)) is not None:
            return _failed(failed, remarks)
    if convert is None:
        return _missing("converter", remarks)
    if (failed := speak(convert)) is not None:
        found = _not_converted(failed, export, reference, speak, remarks)
        held = reference is not None and speak(reference) is None and (not altered or _source(export))
        # A file that was changed may compute something else: only held against its source it is said to match.
        return _beside_lite(found, export, reference, convert, compare, remarks) if held else found
    if reference is None:
        return _missing("reference", remarks)
    if (failed := speak(reference)) is not None:
        if failed.finding.indeterminate or not _source(export) or not _may_be_absent(export, altered):
            return _no_reference(failed, remarks)
        return _numbers(export, None, convert, compare, [*remarks, REFERENCE_ABSENT])
    if not altered or _source(export):
        return _numbers(export, reference, convert, compare, remarks)
    if original is None:
        return _missing("reference", remarks)
    if (failed := speak(original)) is not None:
        return _no_reference(failed, remarks)
    return _numbers(export, reference, convert, compare, remarks, original)


def _not_converted(
    failed: Outcome,
    export: Observation | None,
    reference: Observation | None,
    speak: Speak,
    remarks: list[str],
) -> Judgement:
    """What the converter's failure means beside what the reference said."""
    other = speak(reference) if reference is not None else None
    theirs = export is not None and export.kind == "inspect"
    if theirs and other is not None and other.finding.stage == failed.finding.stage == "run":
        # Inputs that neither of two programs takes say nothing about a converter.
        said = other.finding.said or other.finding.title
        title = f"neither ONNX Runtime nor TensorFlow runs the file with these inputs: {said}"
        absent = _no_reference(other, remarks)
        return replace(absent, finding=replace(absent.finding, title=title), remedies=(_OTHER_INPUTS,))
    return _failed(failed, remarks)


def _beside_lite(
    found: Judgement,
    export: Observation | None,
    reference: Observation | None,
    convert: Observation,
    compare: Compare,
    remarks: list[str],
) -> Judgement:
    """Of a failure in TensorFlow Lite, whether TensorFlow itself got it right: if not, that came first."""
    if found.finding.stage not in _LITE:
        return found
    numbers = _numbers(export, reference, convert, compare, [*remarks, LITE_ONLY], lite=False)
    if numbers.finding.verdict == "match":
        return replace(found, legs=numbers.legs, metrics=numbers.metrics, remarks=numbers.remarks)
    return replace(numbers, remarks=tuple(remarks)) if numbers.finding.verdict == "mismatch" else found


def _source(export: Observation | None) -> tuple[str, str] | None:
    """Name and blob of the outputs the file has to reproduce: what torch computed, or what the user gave."""
    names = ("torch.npz", "given.npz") if export is not None else ()
    return next(((name, blob) for name in names if export and (blob := export.file(name))), None)


def _may_be_absent(export: Observation | None, altered: Sequence[Observation]) -> bool:
    """Whether torch's or given outputs may stand in for ONNX Runtime's: it runs no file this old, or the user says what
    is right. Any other file that it rejects is a doubtful one."""
    file = altered[-1] if altered else export
    opset = file.facts.get("opset_written") if file is not None else None
    given = export is not None and export.file("given.npz") is not None
    return given or (isinstance(opset, int) and opset < _OLDEST_RUN)


def _not_repeatable(export: Observation, compare: Compare, remarks: list[str]) -> Judgement | None:
    once, again = export.file("torch.npz"), export.file("torch-again.npz")
    if once is None or again is None:
        return None
    repeated = compare(once, again, False)
    if repeated.reason is None or repeated.reason in _UNCOMPARED:
        return None
    return Judgement(
        Finding(
            "unavailable",
            "exporter",
            "forward",
            "not-deterministic",
            "torch gave other numbers when asked twice: the model is not deterministic (dropout left on, or random "
            "numbers in forward) and cannot be judged",
        ),
        legs={SOURCE_REPEAT: repeated.metrics},
        remarks=tuple(remarks),
    )


def _failed(found: Outcome, remarks: list[str] | None = None) -> Judgement:
    return Judgement(found.finding, found.cause, found.remedies, remarks=tuple(remarks or ()), general=found.general)


def _missing(role: Role, remarks: list[str]) -> Judgement:
    return Judgement(
        Finding("infra", role, None, "not-observed", f"the {role}'s part was never run"), remarks=tuple(remarks)
    )


def _no_reference(found: Outcome, remarks: list[str]) -> Judgement:
    """Without numbers to compare with, a conversion that ran is neither right nor wrong."""
    # `infra` would promise that another try helps; a reference that cannot run this file never will.
    said = found.finding
    verdict: Verdict = said.verdict if said.indeterminate else "unavailable"
    title = f"converted, but there is no reference to compare with: {said.title}"
    return Judgement(
        Finding(verdict, "reference", said.stage, said.reason, title),
        found.cause,
        found.remedies,
        remarks=tuple(remarks),
    )


def _numbers(
    export: Observation | None,
    reference: Observation | None,
    convert: Observation,
    compare: Compare,
    remarks: list[str],
    original: Observation | None = None,
    lite: bool = True,
) -> Judgement:
    """`reference` None: ONNX Runtime's leg is absent, TensorFlow is held against the source itself. Without `lite` as
    if nothing had been carried on to TensorFlow Lite."""
    source = _source(export)
    names = {
        **({source[0]: source[1]} if source else {}),
        **({name: reference.file(name) for name in ("reference.npz", "again.npz")} if reference is not None else {}),
        **({"original.npz": original.file("reference.npz")} if original is not None else {}),
        "memory.npz": convert.file("memory.npz"),
        "reloaded.npz": convert.file("reloaded.npz"),
        **({"tflite.npz": convert.file("tflite.npz")} if lite and convert.passes[-1].name == "tflite" else {}),
    }
    if export is not None and export.kind == "export" and source is None:
        names["torch.npz"] = None
    if missing := [name for name, blob in names.items() if blob is None]:
        return Judgement(
            Finding("infra", None, "compare", ARRAYS_MISSING, f"{', '.join(missing)} was not kept"),
            remarks=tuple(remarks),
        )
    blob = {name: str(value) for name, value in names.items()}
    if reference is not None:
        repeated = compare(blob["reference.npz"], blob["again.npz"], False)
        if repeated.reason is not None:
            title = (
                "ONNX Runtime gave other numbers when asked twice: the model is not deterministic and cannot be judged"
            )
            return Judgement(
                Finding("unavailable", "reference", "run", "not-deterministic", title),
                legs={REPEAT: repeated.metrics},
                remarks=tuple(remarks),
            )
    legs = _legs(source[0] if source else None, blob, compare)
    if any(leg.blind for name, leg in legs.items() if name in (CONVERTER_LEG, DIRECT_LEG, GIVEN_DIRECT_LEG)):
        remarks.append(BLIND)
    measured = {name: leg.metrics for name, leg in legs.items()}
    for name, leg in legs.items():
        if leg.reason is not None:
            return Judgement(
                Finding(
                    _UNCOMPARED.get(leg.reason, "mismatch"),
                    _LEG_ROLES.get(name, "converter"),
                    "compare",
                    leg.reason,
                    f"{_LEG_WORDS[name]}. {leg.detail}",
                ),
                leg=name,
                legs=measured,
                metrics=leg.metrics,
                remarks=(*remarks, *leg.hints),
                worst=leg.where,
            )
    main = next(name for name in legs if name in (CONVERTER_LEG, DIRECT_LEG, GIVEN_DIRECT_LEG))
    return Judgement(Finding("match"), legs=measured, metrics=legs[main].metrics, remarks=tuple(remarks))


def _legs(source: str | None, blob: dict[str, str], compare: Compare) -> dict[str, Leg]:
    """In the order of the way the numbers went."""
    legs = {}
    if "reference.npz" in blob:
        if source is not None:
            name = EXPORTER_LEG if source == "torch.npz" else GIVEN_LEG
            legs[name] = compare(blob[source], blob["reference.npz"], True)
        if "original.npz" in blob:
            # By position: the change may have been to the names.
            legs[ALTERED_LEG] = compare(blob["original.npz"], blob["reference.npz"], True)
        legs[CONVERTER_LEG] = compare(blob["reference.npz"], blob["memory.npz"], False)
    else:
        assert source is not None
        name = DIRECT_LEG if source == "torch.npz" else GIVEN_DIRECT_LEG
        legs[name] = compare(blob[source], blob["memory.npz"], True)
    legs[RELOAD_LEG] = compare(blob["memory.npz"], blob["reloaded.npz"], False)
    if "tflite.npz" in blob:
        legs[TFLITE_LEG] = compare(blob["reloaded.npz"], blob["tflite.npz"], False)
    return legs
