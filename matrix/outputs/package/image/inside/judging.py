"""The driver's own judgement of what the passes in this image left, and the reference it compares with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from matrix.families.scheme import Scheme
from matrix.judging.compare import compare_files
from matrix.judging.finding import Finding
from matrix.judging.judge import Judgement, Leg, judge
from matrix.judging.outcome import Outcome, outcome
from matrix.judging.tolerance import Tolerances
from matrix.store.records import Observation, PassRecord

NO_REFERENCE = "no-reference"


@dataclass(frozen=True)
class Reference:
    """What the conversion is compared with: ONNX Runtime carried in the image, outputs that the user gave, or nothing;
    then `observation` is None."""

    kind: Literal["carried", "given", "none"]
    words: str
    observation: Observation | None

    @classmethod
    def carried(cls, version: str, record: PassRecord) -> Reference:
        return cls("carried", f"ONNX Runtime {version}, carried in this image", _observed(record))

    @classmethod
    def given(cls, path: Path, stored: Path) -> Reference:
        return cls("given", f"{path}, given", _repeated(str(stored)))

    @classmethod
    def none(cls, why: str) -> Reference:
        return cls("none", f"none ({why})", None)


def speak(observation: Observation) -> Outcome | None:
    """Return the outcome that the observation shows by itself, None for success."""
    log = observation.passes[-1].log if observation.passes else ""
    return outcome(observation, Path(log).read_text(encoding="utf-8") if log else "")


def conclude(
    opset: int | None, convert: Observation, reference: Reference, tolerances: Tolerances, scheme: Scheme
) -> Judgement:
    """Judge one conversion of an .onnx file."""
    # Compared with itself, only the leg to the saved model can fail.
    against = reference.observation or _repeated(convert.file("memory.npz"))
    found = judge(opset or 0, None, against, convert, speak, partial(_leg, tolerances), scheme)
    if reference.kind == "given":
        title = found.finding.title.replace("ONNX Runtime computes", "the given outputs say")
        return replace(found, finding=replace(found.finding, title=title))
    if reference.kind == "carried" or found.finding.verdict != "match":
        return found
    title = "converted, not compared: there is no reference to compare with"
    return Judgement(Finding("unavailable", "reference", None, NO_REFERENCE, title))


def _repeated(path: str | None) -> Observation:
    """A reference run that gave these arrays twice."""
    files = {"reference.npz": path, "again.npz": path} if path else {}
    return _observed(PassRecord("reference", {"done": True}, None, None, True, 0.0, "", files))


def _observed(record: PassRecord) -> Observation:
    return Observation("", "reference", "reference", "reference", "", 0.0, 0, (record,))


def _leg(tolerances: Tolerances, one: str, two: str, by_position: bool, shared: bool) -> Leg:
    return compare_files(Path(one), Path(two), by_position, tolerances, shared)
