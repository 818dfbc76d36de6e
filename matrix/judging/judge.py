"""From the observations about a cell to its verdict. Pure: comparisons are handed in as a function.

The order is the order of the work: what failed first is what the cell says, and it names its role, so that an
exporter's failure never counts against a converter. Each artifact of the conversion is judged by itself beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from matrix.families.scheme import MEMORY, OWN, Scheme
from matrix.judging.finding import Finding
from matrix.judging.matching import Remedy
from matrix.judging.outcome import Outcome
from matrix.store.records import Observation

if TYPE_CHECKING:
    from matrix.table.model import Role, Verdict

EXPORTER_LEG = "torch-onnxruntime"
GIVEN_LEG = "given-onnxruntime"
# Where a file was changed and nothing but the file itself says what it means.
ALTERED_LEG = "original-altered"
# Where the converter takes the torch module: whether its own torch computes what the current one does.
TORCH_LEG = "torch-torch"
REPEAT = "reference-repeated"
SOURCE_REPEAT = "torch-repeated"
TFLITE = "tflite"

OPSET_NOT_AS_ASKED = "opset-not-as-asked"
REFERENCE_ABSENT = "onnxruntime-leg-absent"
TORCH_ABSENT = "torch-leg-absent"
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

_SOURCES = ("torch.npz", "given.npz")

# Their outputs have names of their own, not those of an .onnx file.
_BY_POSITION = frozenset((*_SOURCES, OWN))


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


class Way(NamedTuple):
    """A leg of the way the numbers go: two files of arrays, the reference first, and whether outputs go by position.
    `role` and `words` say what a mismatch on it means; `main` marks the one that tells how far the conversion is off,
    `artifact` the one that an artifact ends with."""

    leg: str
    one: str
    two: str
    by_position: bool
    role: Role
    words: str
    main: bool = False
    artifact: str = ""


@dataclass(frozen=True)
class Judgement:
    """The finding on a cell and why. `leg` names the comparison a mismatch broke on, `worst` the `case/output` there.
    `general` as in Outcome. `artifacts` are the findings on each artifact by itself, as far as there is one."""

    finding: Finding
    cause: str = ""
    remedies: tuple[Remedy, ...] = ()
    leg: str | None = None
    legs: dict[str, dict[str, Any]] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    worst: str | None = None
    general: bool = False
    artifacts: Mapping[str, Finding] = field(default_factory=dict)


Speak = Callable[[Observation], Outcome | None]
# What one pass of an observation says by itself, by its name.
SpeakOfPass = Callable[[Observation, str], Outcome | None]
# (reference blob, actual blob, aligned by position rather than by name) -> Leg
Compare = Callable[[str, str, bool], Leg]


def judge(
    opset: int,
    export: Observation | None,
    reference: Observation | None,
    convert: Observation | None,
    speak: Speak,
    compare: Compare,
    scheme: Scheme,
    altered: Sequence[Observation] = (),
    original: Observation | None = None,
    speak_of_pass: SpeakOfPass | None = None,
) -> Judgement:
    """Judge one cell. `speak` gives the outcome of an observation, `speak_of_pass` that of one of its passes (None: as
    if none of them had failed), `compare` a leg of two array files.

    `export` may be the inspection of an .onnx file, what the current torch computes where the converter takes the torch
    module, or None where nobody looked: then nothing is said about an exporter. `altered` are the changes made to the
    file before it was run and converted, `original` is the reference job of the file before them: nothing else says
    what a user's .onnx file without given outputs means.
    """

    def good(observation: Observation | None) -> Observation | None:
        return observation if observation is not None and speak(observation) is None else None

    case = _Case(
        export=good(export),
        reference=good(reference),
        convert=convert,
        # Of a file that has a source of its own it says nothing.
        original=good(original) if altered and not source_of(export) else None,
        scheme=scheme,
        compare=compare,
    )
    found = _judged(case, opset, export, reference, altered, original, speak)
    if convert is None:
        return found
    return replace(found, artifacts=_artifacts(case, found, speak_of_pass))


@dataclass(frozen=True)
class _Case:
    """The observations that there is something to compare of."""

    export: Observation | None
    reference: Observation | None
    convert: Observation | None
    original: Observation | None
    scheme: Scheme
    compare: Compare

    @property
    def blobs(self) -> dict[str, str]:
        return files_of(self.export, self.reference, self.convert, self.original)


def _judged(
    case: _Case,
    opset: int,
    export: Observation | None,
    reference: Observation | None,
    altered: Sequence[Observation],
    original: Observation | None,
    speak: Speak,
) -> Judgement:
    convert, torch = case.convert, case.scheme.torch
    remarks: list[str] = []
    if export is not None:
        if (failed := speak(export)) is not None:
            if not torch or convert is None:
                return _failed(failed)
            # Its own torch says as well what the module means.
            remarks.append(TORCH_ABSENT)
        elif export.kind == "export" and export.facts.get("opset_written") != opset:
            remarks.append(OPSET_NOT_AS_ASKED)
        if case.export is not None and (random := _not_repeatable(case.export, case.compare, remarks)) is not None:
            return random
    for alteration in altered:
        if (failed := speak(alteration)) is not None:
            return _failed(failed, remarks)
    if convert is None:
        return _missing("converter", remarks)
    if (failed := speak(convert)) is not None:
        found = _not_converted(case, failed, export, speak(reference) if reference is not None else None, remarks)
        held = torch or (case.reference is not None and (not altered or source_of(export)))
        # A file that was changed may compute something else: only held against its source it is said to match.
        return _beside_lite(found, case, remarks) if held else found
    if torch:
        return _numbers(case, remarks)
    if reference is None:
        return _missing("reference", remarks)
    if (failed := speak(reference)) is not None:
        if failed.finding.indeterminate or not source_of(export) or not _may_be_absent(export, altered):
            return _no_reference(failed, remarks)
        return _numbers(case, [*remarks, REFERENCE_ABSENT])
    if altered and not source_of(export):
        if original is None:
            return _missing("reference", remarks)
        if (failed := speak(original)) is not None:
            return _no_reference(failed, remarks)
    return _numbers(case, remarks)


def _not_converted(
    case: _Case, failed: Outcome, export: Observation | None, other: Outcome | None, remarks: list[str]
) -> Judgement:
    """What the converter's failure means beside `other`, what the reference said."""
    theirs = export is not None and export.kind == "inspect"
    if theirs and other is not None and other.finding.stage == failed.finding.stage == "run":
        # Inputs that neither of two programs takes say nothing about a converter.
        said = other.finding.said or other.finding.title
        title = f"neither ONNX Runtime nor {case.scheme.title} runs the file with these inputs: {said}"
        absent = _no_reference(other, remarks)
        return replace(absent, finding=replace(absent.finding, title=title), remedies=(_OTHER_INPUTS,))
    return _failed(failed, remarks)


def _beside_lite(found: Judgement, case: _Case, remarks: list[str]) -> Judgement:
    """Of a failure in TensorFlow Lite, whether TensorFlow itself got it right: if not, that came first."""
    if found.finding.stage not in _LITE:
        return found
    numbers = _numbers(case, [*remarks, LITE_ONLY], lite=False)
    if numbers.finding.good:
        return replace(found, legs=numbers.legs, metrics=numbers.metrics, remarks=numbers.remarks)
    return replace(numbers, remarks=tuple(remarks)) if numbers.finding.verdict == "mismatch" else found


def source_of(export: Observation | None) -> tuple[str, str] | None:
    """Name and blob of the outputs the file has to reproduce: what torch computed, or what the user gave."""
    names = _SOURCES if export is not None else ()
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


def _numbers(case: _Case, remarks: list[str], lite: bool = True) -> Judgement:
    """Without a reference ONNX Runtime's leg is absent, and what was converted is compared with the source itself.
    Without `lite` as if nothing had been carried on to TensorFlow Lite."""
    assert case.convert is not None
    blobs = case.blobs
    needed = _needed(case, lite)
    if missing := [name for name in needed if name not in blobs]:
        title = f"{', '.join(missing)} was not kept"
        return Judgement(Finding("infra", None, "compare", ARRAYS_MISSING, title), remarks=tuple(remarks))
    if case.reference is not None:
        repeated = case.compare(blobs["reference.npz"], blobs["again.npz"], False)
        if repeated.reason is not None:
            title = (
                "ONNX Runtime gave other numbers when asked twice: the model is not deterministic and cannot be judged"
            )
            return Judgement(
                Finding("unavailable", "reference", "run", "not-deterministic", title),
                legs={REPEAT: repeated.metrics},
                remarks=tuple(remarks),
            )
    ways = [way for way in ways_of(case.scheme, blobs.keys()) if lite or way.artifact != TFLITE]
    legs = {way: case.compare(blobs[way.one], blobs[way.two], way.by_position) for way in ways}
    if any(leg.blind for way, leg in legs.items() if way.main):
        remarks.append(BLIND)
    measured = {way.leg: leg.metrics for way, leg in legs.items()}
    for way, leg in legs.items():
        if leg.reason is not None:
            return Judgement(
                _mismatch(way, leg),
                leg=way.leg,
                legs=measured,
                metrics=leg.metrics,
                remarks=(*remarks, *leg.hints),
                worst=leg.where,
            )
    main = next(leg for way, leg in legs.items() if way.main)
    return Judgement(Finding("match"), legs=measured, metrics=main.metrics, remarks=tuple(remarks))


def _mismatch(way: Way, leg: Leg) -> Finding:
    assert leg.reason is not None
    # Arrays that cannot be read were not compared, so nothing is known of the numbers.
    verdict = _UNCOMPARED.get(leg.reason, "mismatch")
    return Finding(verdict, way.role, "compare", leg.reason, f"{way.words}. {leg.detail}")


def files_of(
    export: Observation | None,
    reference: Observation | None,
    convert: Observation | None,
    original: Observation | None = None,
) -> dict[str, str]:
    """The files of arrays that the judge may compare, by the names that `ways_of` has for them: blobs."""
    found: dict[str, str] = {}
    if (source := source_of(export)) is not None:
        found[source[0]] = source[1]
    for part, names in ((reference, ("reference.npz", "again.npz")), (original, ("reference.npz",))):
        for name in names:
            if part is not None and (blob := part.file(name)) is not None:
                found["original.npz" if part is original else name] = blob
    for record in convert.passes if convert is not None else ():
        # What torch of the converter's own environment computes.
        named = ((OWN if name == "torch.npz" else name, blob) for name, blob in record.files.items())
        found |= {name: blob for name, blob in named if name.endswith(".npz")}
    return found


def _needed(case: _Case, lite: bool) -> Iterator[str]:
    """What must have been kept for a conversion to be judged."""
    assert case.convert is not None
    if case.scheme.torch:
        yield OWN
    elif (source := source_of(case.export)) is not None:
        yield source[0]
    elif case.export is not None and case.export.kind == "export":
        yield "torch.npz"
    if case.reference is not None:
        yield from ("reference.npz", "again.npz")
    if case.original is not None:
        yield "original.npz"
    if case.scheme.in_memory:
        yield MEMORY
    for artifact, record in case.convert.artifacts:
        loaded = case.scheme.loaded_by(record.name)
        if loaded is not None and (lite or artifact != TFLITE):
            yield loaded.numbers


def ways_of(scheme: Scheme, names: Iterable[str]) -> Iterator[Way]:
    """The legs between these files of arrays, in the order of the way the numbers went."""
    there = frozenset(names)
    source = next((name for name in _SOURCES if name in there), "")
    start = "reference.npz" if "reference.npz" in there else source
    if scheme.torch:
        start = OWN
        if source and OWN in there:
            words = "torch of the converter's environment does not compute what the current torch does"
            yield Way(TORCH_LEG, source, OWN, True, "exporter", words)
    elif start == "reference.npz":
        if source == "torch.npz":
            words = "ONNX Runtime does not compute what torch computed: the exporter changed the model"
            yield Way(EXPORTER_LEG, source, start, True, "exporter", words)
        elif source:
            words = (
                "ONNX Runtime does not compute the reference outputs given: they are of another model or other inputs"
            )
            yield Way(GIVEN_LEG, source, start, True, "reference", words)
        if "original.npz" in there:
            # By position: the change may have been to the names.
            words = "the file as it was changed does not compute what it computed before: the change is no remedy"
            yield Way(ALTERED_LEG, "original.npz", start, True, "reference", words)
    by_position, origin = start in _BY_POSITION, _ORIGINS.get(start, "")
    words = _MEANINGS.get(start, "").format(scheme.title)
    if scheme.in_memory and start and MEMORY in there:
        yield Way(f"{origin}-{scheme.runtime}", start, MEMORY, by_position, "converter", words, main=True)
    there_is_main = scheme.in_memory
    for loaded in scheme.artifacts:
        # What an artifact is compared with may be missing where it was made all the same.
        one = next((name for name in (loaded.against, MEMORY, start) if name and name in there), "")
        if loaded.numbers not in there or not one or (scheme.in_memory and one == start):
            continue
        artifact = loaded.makes or loaded.loads[0]
        leg = loaded.leg if one == loaded.against and loaded.leg else f"{_ORIGINS[one]}-{artifact}"
        yield Way(
            leg,
            one,
            loaded.numbers,
            one in _BY_POSITION,
            "converter",
            loaded.words or words,
            not there_is_main,
            artifact,
        )
        there_is_main = True


def lite_leg(legs: Iterable[str]) -> str | None:
    """The leg that leads to TensorFlow Lite's outputs, None where there is none."""
    return next((leg for leg in legs if leg.endswith(f"-{TFLITE}")), None)


# What the outputs are of that a conversion is compared with first, and what it means where it does not compute them.
_ORIGINS = {"reference.npz": "onnxruntime", "torch.npz": "torch", "given.npz": "given", OWN: "torch", MEMORY: "memory"}
_MEANINGS = {
    "reference.npz": "{} does not compute what ONNX Runtime computes: the conversion is wrong",
    "torch.npz": "{} does not compute what torch computed: the export or the conversion is wrong",
    "given.npz": "{} does not compute the reference outputs given",
    OWN: "{} does not compute what torch computed: the conversion is wrong",
}


def _artifacts(case: _Case, found: Judgement, speak_of_pass: SpeakOfPass | None) -> dict[str, Finding]:
    """Each artifact by itself: its own pass, and the legs that lead to it. What comes before all of them, such as a
    reference that failed, is true of each."""
    assert case.convert is not None
    findings: dict[str, Finding] = {}
    blobs = case.blobs
    ways = list(ways_of(case.scheme, blobs.keys()))
    for artifact, record in case.convert.artifacts:
        failed = speak_of_pass(case.convert, record.name) if speak_of_pass is not None else None
        if failed is not None:
            findings[artifact] = failed.finding
            continue
        if found.finding.role != "converter" and not found.finding.good:
            findings[artifact] = found.finding.without_words()
            continue
        loaded = case.scheme.loaded_by(record.name)
        path = _path(ways, loaded.numbers) if loaded is not None else []
        if not path:
            title = f"the outputs of {artifact} were not kept"
            findings[artifact] = Finding("infra", "converter", "compare", ARRAYS_MISSING, title)
            continue
        legs = ((way, case.compare(blobs[way.one], blobs[way.two], way.by_position)) for way in path)
        broken = ((way, leg) for way, leg in legs if leg.reason is not None)
        findings[artifact] = next((_mismatch(way, leg) for way, leg in broken), Finding("match"))
    return findings


def _path(ways: Sequence[Way], numbers: str) -> list[Way]:
    """The legs that lead from the source to a file of arrays, in order."""
    path: list[Way] = []
    wanted = numbers
    while (way := next((one for one in ways if one.two == wanted and one.leg not in _BESIDE), None)) is not None:
        path.insert(0, way)
        wanted = way.one
    return path


# They lead to where another leg leads too.
_BESIDE = (ALTERED_LEG,)
