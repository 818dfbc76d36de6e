"""Judge a cell by its observations. Pure: comparisons are passed in as a function.

The order is that of the work: the first failure decides the finding and names its role, so that an exporter's failure
never counts against a converter. Each artifact of the conversion also gets its own finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
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
# Where a file was changed and only the unchanged file itself defines its right outputs.
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

# Remarks in words; the hints of a mismatch are remarks too.
REMARKS = {
    OPSET_NOT_AS_ASKED: "the exporter (role exporter, stage export) silently wrote another opset than was asked for",
    REFERENCE_ABSENT: "ONNX Runtime cannot run this file: TensorFlow is compared with the source's outputs instead",
    TORCH_ABSENT: "the exporter row's torch cannot run the model: the outputs of the converter's own torch are used",
    LITE_ONLY: "without TensorFlow Lite (--tflite) it is a match",
    BLIND: "the outputs hardly vary, so a wrong conversion could pass; use other inputs",
    "layout-swapped": "the numbers agree after swapping axes: channels first and channels last are mixed up",
    "constant-shift": "all elements differ by the same amount",
    "constant-scale": "all elements differ by the same factor",
}

# The oldest opset that ONNX Runtime runs (its documentation on compatibility).
_OLDEST_RUN = 7

_LITE = ("tflite", "invoke")

_OTHER_INPUTS = Remedy(
    id="other-inputs",
    text="State inputs that the model takes: --input NAME=SHAPE:DTYPE:LOW..HIGH (HIGH is not drawn), or "
    "--inputs FILE.npz.",
)

_UNCOMPARED: dict[str, Verdict] = {ARRAYS_UNREADABLE: "error", ARRAYS_MISSING: "infra"}

_SOURCES = ("torch.npz", "given.npz")

# Their outputs have names of their own, not those of an .onnx file.
_BY_POSITION = frozenset((*_SOURCES, OWN))

# The program that computed each file with which a conversion is compared, and what a mismatch with it means.
_ORIGINS = {"reference.npz": "onnxruntime", "torch.npz": "torch", "given.npz": "given", OWN: "torch", MEMORY: "memory"}
_MEANINGS = {
    "reference.npz": "{} does not compute what ONNX Runtime computes: the conversion is wrong",
    "torch.npz": "{} does not compute what torch computed: the export or the conversion is wrong",
    "given.npz": "{} does not compute the reference outputs given",
    OWN: "{} does not compute what torch computed: the conversion is wrong",
}


@dataclass(frozen=True)
class Leg:
    """A comparison of two sets of arrays. `reason` is None where they are equal within tolerance, else `where`,
    `case/output`, is the worst of them."""

    reason: str | None
    detail: str
    metrics: dict[str, Any]
    hints: tuple[str, ...] = ()
    blind: bool = False
    where: str | None = None


class Way(NamedTuple):
    """Two files of arrays to compare on a leg, the reference first, and whether outputs go by position. `role` and
    `words` say what a mismatch means; `shared`: only the cases that the second has are compared; `main` marks the leg
    whose metrics are the cell's, `artifact` one that ends at that artifact."""

    leg: str
    one: str
    two: str
    by_position: bool
    role: Role
    words: str
    main: bool = False
    artifact: str = ""
    shared: bool = False


@dataclass(frozen=True)
class Judgement:
    """The finding on a cell and why. `leg` names the comparison of a mismatch, `worst` the `case/output` there.
    `general` as in Outcome. `artifacts` are the findings on each artifact that there is."""

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


# The outcome of an observation, None for success; and that of one of its passes, by name.
Speak = Callable[[Observation], Outcome | None]
SpeakOfPass = Callable[[Observation, str], Outcome | None]
# (reference blob, actual blob, aligned by position rather than by name, only cases that the second has) -> Leg
Compare = Callable[[str, str, bool, bool], Leg]


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
    speak_of_pass: SpeakOfPass = lambda observation, name: None,
) -> Judgement:
    """Judge one cell.

    Args:
        export: The export, the inspection of an .onnx file, or the forward job of the current torch where the converter
            takes the torch module. None: nothing is concluded about an exporter.
        speak: Returns the outcome of an observation.
        compare: Compares two files of arrays.
        altered: The changes made to the file before it was run and converted.
        original: The reference job of the file before them: it alone defines the right outputs of a user's .onnx file
            without given outputs.
        speak_of_pass: Returns the outcome of one pass of an observation.
    """
    case = _Case(opset, export, reference, convert, speak, compare, scheme, altered, original)
    found = case.judged()
    return replace(found, artifacts=case.artifacts(found, speak_of_pass)) if convert is not None else found


@dataclass
class _Case:
    """The arguments of `judge`, and the remarks so far."""

    opset: int
    export: Observation | None
    reference: Observation | None
    convert: Observation | None
    speak: Speak
    compare: Compare
    scheme: Scheme
    altered: Sequence[Observation]
    original: Observation | None
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source = source_of(self.export)
        self.good_export, self.good_reference = self._good(self.export), self._good(self.reference)
        # It counts only where nothing before it defines the right outputs.
        self.good_original = self._good(self.original) if self.altered and not self.source else None

    @cached_property
    def blobs(self) -> dict[str, str]:
        return files_of(self.good_export, self.good_reference, self.convert, self.good_original)

    @cached_property
    def ways(self) -> tuple[Way, ...]:
        return tuple(ways_of(self.scheme, self.blobs.keys()))

    def _good(self, observation: Observation | None) -> Observation | None:
        return observation if observation is not None and self.speak(observation) is None else None

    def leg(self, way: Way) -> Leg:
        return self.compare(self.blobs[way.one], self.blobs[way.two], way.by_position, way.shared)

    def judged(self) -> Judgement:
        if self.export is not None:
            if (failed := self.speak(self.export)) is not None:
                if not self.scheme.torch or self.convert is None:
                    return self._failed(failed)
                # The converter's own torch defines the right outputs just as well.
                self.remarks.append(TORCH_ABSENT)
            else:
                if self.export.kind == "export" and self.export.facts.get("opset_written") != self.opset:
                    self.remarks.append(OPSET_NOT_AS_ASKED)
                if (random := self._not_repeatable(self.export)) is not None:
                    return random
        for alteration in self.altered:
            if (failed := self.speak(alteration)) is not None:
                return self._failed(failed)
        if self.convert is None:
            return self._missing("converter")
        if (failed := self.speak(self.convert)) is not None:
            return self._not_converted(failed)
        if self.scheme.torch:
            return self._numbers()
        if self.reference is None:
            return self._missing("reference")
        if (failed := self.speak(self.reference)) is not None:
            if failed.finding.indeterminate or not self.source or not self._reference_may_be_absent():
                return self._no_reference(failed)
            self.remarks.append(REFERENCE_ABSENT)
        elif self.altered and not self.source:
            if self.original is None:
                return self._missing("reference")
            if (failed := self.speak(self.original)) is not None:
                return self._no_reference(failed)
        return self._numbers()

    def _not_converted(self, failed: Outcome) -> Judgement:
        other = self.speak(self.reference) if self.reference is not None else None
        users_file = self.export is not None and self.export.kind == "inspect"
        found = self._failed(failed)
        if users_file and other is not None and other.finding.stage == failed.finding.stage == "run":
            # Inputs that neither program takes say nothing about a converter.
            said = other.finding.said or other.finding.title
            title = f"neither ONNX Runtime nor {self.scheme.title} runs the file with these inputs: {said}"
            absent = self._no_reference(other)
            found = replace(absent, finding=replace(absent.finding, title=title), remedies=(_OTHER_INPUTS,))
        # A changed file may compute something else: it can match only where there is a source to compare it with.
        comparable = self.good_reference is not None and (not self.altered or self.source)
        if found.finding.stage not in _LITE or not (self.scheme.torch or comparable):
            return found
        # TensorFlow Lite failed: had TensorFlow itself computed wrong numbers, that would have come first.
        numbers = replace(self, remarks=[*self.remarks, LITE_ONLY])._numbers(lite=False)
        if numbers.finding.good:
            return replace(found, legs=numbers.legs, metrics=numbers.metrics, remarks=numbers.remarks)
        return replace(numbers, remarks=tuple(self.remarks)) if numbers.finding.verdict == "mismatch" else found

    def _reference_may_be_absent(self) -> bool:
        """Tell whether the source's outputs may replace ONNX Runtime's: it does not run files this old, or the user
        gave the right outputs. Any other file that it rejects is doubtful."""
        file = self.altered[-1] if self.altered else self.export
        opset = file.facts.get("opset_written") if file is not None else None
        given = self.export is not None and self.export.file("given.npz") is not None
        return given or (isinstance(opset, int) and opset < _OLDEST_RUN)

    def _not_repeatable(self, export: Observation) -> Judgement | None:
        once, again = export.file("torch.npz"), export.file("torch-again.npz")
        if once is None or again is None:
            return None
        repeated = self.compare(once, again, False, False)
        if repeated.reason is None or repeated.reason in _UNCOMPARED:
            return None
        program, hint = "torch", " (dropout left on, or random numbers in forward)"
        return self._not_deterministic("exporter", "forward", program, hint, {SOURCE_REPEAT: repeated.metrics})

    def _not_deterministic(
        self, role: Role, stage: str, program: str, hint: str, legs: dict[str, dict[str, Any]]
    ) -> Judgement:
        title = f"{program} gave different outputs when run twice: the model is not deterministic{hint}"
        finding = Finding("unavailable", role, stage, "not-deterministic", f"{title} and cannot be judged")
        return self._judgement(finding, legs=legs)

    def _judgement(self, finding: Finding, **more: Any) -> Judgement:
        return Judgement(finding, remarks=tuple(self.remarks), **more)

    def _failed(self, found: Outcome) -> Judgement:
        return self._judgement(found.finding, cause=found.cause, remedies=found.remedies, general=found.general)

    def _missing(self, role: Role) -> Judgement:
        return self._judgement(Finding("infra", role, None, "not-observed", f"the {role}'s part was not run"))

    def _no_reference(self, found: Outcome) -> Judgement:
        """Judge a conversion that ran, but has no outputs to compare with: it is neither right nor wrong."""
        # `infra` would promise that another try helps; a reference that cannot run this file never will.
        said = found.finding
        verdict: Verdict = said.verdict if said.indeterminate else "unavailable"
        title = f"converted, but there is no reference to compare with: {said.title}"
        finding = Finding(verdict, "reference", said.stage, said.reason, title)
        return self._judgement(finding, cause=found.cause, remedies=found.remedies)

    def _numbers(self, lite: bool = True) -> Judgement:
        """Judge by the numbers; without `lite`, as if nothing had been carried on to TensorFlow Lite."""
        if missing := [name for name in self._needed(lite) if name not in self.blobs]:
            title = f"{', '.join(missing)} was not kept"
            return self._judgement(Finding("infra", None, "compare", ARRAYS_MISSING, title))
        if self.good_reference is not None:
            repeated = self.compare(self.blobs["reference.npz"], self.blobs["again.npz"], False, False)
            if repeated.reason is not None:
                legs = {REPEAT: repeated.metrics}
                return self._not_deterministic("reference", "run", "ONNX Runtime", "", legs)
        found = {way: self.leg(way) for way in self.ways if lite or way.artifact != TFLITE}
        if any(leg.blind for way, leg in found.items() if way.main):
            self.remarks.append(BLIND)
        measured = {way.leg: leg.metrics for way, leg in found.items()}
        for way, leg in found.items():
            if leg.reason is not None:
                self.remarks.extend(leg.hints)
                mismatch = _mismatch(way, leg)
                return self._judgement(mismatch, leg=way.leg, legs=measured, metrics=leg.metrics, worst=leg.where)
        main = next(leg for way, leg in found.items() if way.main)
        return self._judgement(Finding("match"), legs=measured, metrics=main.metrics)

    def _needed(self, lite: bool) -> Iterator[str]:
        """Yield the files that must have been kept for a conversion to be judged."""
        if self.scheme.torch:
            yield OWN
        elif (source := source_of(self.good_export)) is not None:
            yield source[0]
        elif self.good_export is not None and self.good_export.kind == "export":
            yield "torch.npz"
        if self.good_reference is not None:
            yield from ("reference.npz", "again.npz")
        if self.good_original is not None:
            yield "original.npz"
        if self.scheme.in_memory:
            yield MEMORY
        for artifact, record in self.convert.artifacts if self.convert is not None else ():
            loaded = self.scheme.loaded_by(record.name)
            if loaded is not None and (lite or artifact != TFLITE):
                yield loaded.numbers

    def artifacts(self, found: Judgement, speak_of_pass: SpeakOfPass) -> dict[str, Finding]:
        """Judge each artifact by its own pass and the legs that lead to it. What failed before all of them, such as the
        reference, holds for each."""
        assert self.convert is not None
        findings: dict[str, Finding] = {}
        for artifact, record in self.convert.artifacts:
            if (failed := speak_of_pass(self.convert, record.name)) is not None:
                findings[artifact] = failed.finding
            elif found.finding.role != "converter" and not found.finding.good:
                findings[artifact] = found.finding.without_words()
            elif (loaded := self.scheme.loaded_by(record.name)) is None or not (path := self._path(loaded.numbers)):
                title = f"the outputs of {artifact} were not kept"
                findings[artifact] = Finding("infra", "converter", "compare", ARRAYS_MISSING, title)
            else:
                broken = (_mismatch(way, leg) for way in path if (leg := self.leg(way)).reason is not None)
                findings[artifact] = next(broken, Finding("match"))
        return findings

    def _path(self, numbers: str) -> list[Way]:
        """Return the legs that lead from the source to a file of arrays, in order."""
        path: list[Way] = []
        # The altered leg leads to where another leg leads too.
        into = {way.two: way for way in reversed(self.ways) if way.leg != ALTERED_LEG}
        while (way := into.get(path[0].one if path else numbers)) is not None:
            path.insert(0, way)
        return path


def _mismatch(way: Way, leg: Leg) -> Finding:
    assert leg.reason is not None
    # Arrays that cannot be read were not compared, so nothing is known of the numbers.
    verdict = _UNCOMPARED.get(leg.reason, "mismatch")
    return Finding(verdict, way.role, "compare", leg.reason, f"{way.words}. {leg.detail}")


def source_of(export: Observation | None) -> tuple[str, str] | None:
    """Return name and blob of the outputs that a file has to reproduce: torch's, or those that the user gave."""
    if export is None:
        return None
    return next(((name, blob) for name in _SOURCES if (blob := export.file(name))), None)


def files_of(
    export: Observation | None,
    reference: Observation | None,
    convert: Observation | None,
    original: Observation | None = None,
) -> dict[str, str]:
    """Return the blobs of the files of arrays that may be compared, by their names in `ways_of`."""
    found: dict[str, str] = {}
    if (source := source_of(export)) is not None:
        found[source[0]] = source[1]
    for part, name, known_as in (
        (reference, "reference.npz", "reference.npz"),
        (reference, "again.npz", "again.npz"),
        (original, "reference.npz", "original.npz"),
    ):
        if part is not None and (blob := part.file(name)) is not None:
            found[known_as] = blob
    for record in convert.passes if convert is not None else ():
        for name, blob in record.files.items():
            if name.endswith(".npz"):
                # The converter's own torch has another name than the exporter's.
                found[OWN if name == "torch.npz" else name] = blob
    return found


def ways_of(scheme: Scheme, names: Iterable[str]) -> Iterator[Way]:
    """Yield the legs between these files of arrays, from the source to the artifacts."""
    there = frozenset(names)
    source = next((name for name in _SOURCES if name in there), "")
    start = OWN if scheme.torch else "reference.npz" if "reference.npz" in there else source
    if scheme.torch:
        if source and OWN in there:
            words = "torch of the converter's environment does not compute what the current torch does"
            yield Way(TORCH_LEG, source, OWN, True, "exporter", words)
    elif start == "reference.npz":
        if source == "torch.npz":
            words = "ONNX Runtime does not compute what torch computed: the exporter changed the model"
            yield Way(EXPORTER_LEG, source, start, True, "exporter", words)
        elif source:
            words = "ONNX Runtime does not compute the reference outputs given: they belong to another model or input"
            yield Way(GIVEN_LEG, source, start, True, "reference", words)
        if "original.npz" in there:
            # By position: the change may have been to the names.
            words = "the changed file does not compute what it did before: the change is not a remedy"
            # A file whose sizes were fixed is not run with others.
            yield Way(ALTERED_LEG, "original.npz", start, True, "reference", words, shared=True)
    words = _MEANINGS.get(start, "").format(scheme.title)
    if scheme.in_memory and start and MEMORY in there:
        leg = f"{_ORIGINS[start]}-{scheme.runtime}"
        yield Way(leg, start, MEMORY, start in _BY_POSITION, "converter", words, main=True)
    main = not scheme.in_memory
    for loaded in scheme.artifacts:
        # The file that an artifact is to be compared with may be missing although the artifact was made.
        one = next((name for name in (loaded.against, MEMORY, start) if name and name in there), "")
        if loaded.numbers not in there or not one or (scheme.in_memory and one == start):
            continue
        artifact = loaded.makes or loaded.loads[0]
        leg = loaded.leg if one == loaded.against and loaded.leg else f"{_ORIGINS[one]}-{artifact}"
        means = loaded.words or words
        yield Way(leg, one, loaded.numbers, one in _BY_POSITION, "converter", means, main, artifact)
        main = False


def lite_leg(legs: Iterable[str]) -> str | None:
    """Return the leg that leads to TensorFlow Lite's outputs, None where there is none."""
    return next((leg for leg in legs if leg.endswith(f"-{TFLITE}")), None)
