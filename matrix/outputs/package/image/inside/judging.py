"""The driver's own judgement, drawn from what the passes in this image left."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from matrix.families.scheme import Scheme
from matrix.judging.compare import compare_files
from matrix.judging.finding import Finding
from matrix.judging.judge import Judgement, Leg, judge
from matrix.judging.outcome import Outcome, outcome
from matrix.judging.tolerance import Tolerances
from matrix.outputs.package.image.inside.reference import Reference
from matrix.store.records import Observation

NO_REFERENCE = "no-reference"


def speak(observation: Observation) -> Outcome | None:
    """What the observation says by itself; None for success."""
    log = observation.passes[-1].log if observation.passes else ""
    return outcome(observation, Path(log).read_text(encoding="utf-8") if log else "")


def conclude(
    opset: int | None, convert: Observation, reference: Reference, tolerances: Tolerances, scheme: Scheme
) -> Judgement:
    """The verdict on one conversion of a model that came as an .onnx file."""
    compare = partial(_leg, tolerances)
    if reference.observation is not None:
        found = judge(opset or 0, None, reference.observation, convert, speak, compare, scheme)
        if reference.kind == "given":
            title = found.finding.title.replace("ONNX Runtime computes", "the given outputs say")
            found = replace(found, finding=replace(found.finding, title=title))
        return found
    # Held against itself, only the comparison with the saved model can fail.
    files = {"reference.npz": convert.file("memory.npz"), "again.npz": convert.file("memory.npz")}
    record = replace(convert.passes[0], result={"done": True}, files={k: v for k, v in files.items() if v})
    itself = Observation("", "reference", "reference", "", "", 0.0, 0, (record,))
    found = judge(opset or 0, None, itself, convert, speak, compare, scheme)
    if found.finding.verdict != "match":
        return found
    return Judgement(
        Finding(
            "unavailable",
            "reference",
            None,
            NO_REFERENCE,
            "converted, not compared: there is no reference to compare with",
        )
    )


def _leg(tolerances: Tolerances, one: str, two: str, by_position: bool) -> Leg:
    return compare_files(Path(one), Path(two), by_position, tolerances)
