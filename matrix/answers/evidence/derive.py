"""From judged cells to evidence. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from matrix.answers.evidence.known import Entry, Profile, ProfileKey
from matrix.answers.operators.coverage import uses
from matrix.judging.finding import Finding
from matrix.judging.judge import LITE_ONLY, TFLITE, lite_leg

if TYPE_CHECKING:
    from matrix.judging.cells import CellResult
    from matrix.packages.lock import Lock
    from matrix.store import CellRecord, Observation

# Numbers that are equal bit for bit have a margin of this much: JSON knows no infinity.
MOST_MARGIN = 1e9

# Enough of a message to recognise it by; all of it is in the observation.
_SAID = 240


def entry_of(result: CellResult, run: int) -> Entry:
    """What is to be remembered of a judged cell."""
    record, judgement = result.record, result.judgement
    remedied = result.remedied
    parts = [part for part in (result.export, result.reference, result.convert) if part is not None]
    shown = remedied or result
    # What fails alone in what was made on request has carried the model into what is made in any case.
    lite_only = _lite_on_request(result) and (
        LITE_ONLY in judgement.remarks or (judgement.leg is not None and lite_leg([judgement.leg]) is not None)
    )
    return Entry(
        cell=record.cell,
        model=record.model,
        exporter=record.exporter,
        opset=record.opset,
        converter=record.converter,
        finding=Finding(
            "match" if lite_only else judgement.finding.verdict,
            judgement.finding.role,
            judgement.finding.stage,
            judgement.finding.reason,
            said=_said(result)[:_SAID],
        ),
        remedies=remedied.record.changes if remedied else (),
        margin=_margin(shown),
        inference_seconds=_inference(shown.convert),
        converter_mb=_disk(result.convert),
        exporter_mb=_disk(result.export) if result.export.kind == "export" else None,
        exporter_lock=_installed(result.export),
        converter_lock=_installed(result.convert),
        date=max(part.created for part in parts).date(),
        run=run,
    )


def profile_of(record: CellRecord, export: Observation) -> Profile | None:
    """What the exporter wrote, or what an .onnx file holds; None where nothing was written."""
    facts = export.facts
    if export.file("model.onnx") is None and export.kind == "export":
        return None
    found = uses(facts)
    if not found:
        return None
    return Profile(
        record.model,
        record.exporter,
        record.opset,
        written if isinstance(written := facts.get("opset_written"), int) else None,
        ir if isinstance(ir := facts.get("ir_version"), int) else None,
        found,
    )


def derive(results: Iterable[CellResult], run: int) -> tuple[list[Entry], dict[ProfileKey, Profile]]:
    """The entries of a run's cells and what was written for them."""
    entries, profiles = [], {}
    for result in results:
        entries.append(entry_of(result, run))
        key = (result.record.model, result.record.exporter, result.record.opset)
        if key not in profiles and (profile := profile_of(result.record, result.export)) is not None:
            profiles[key] = profile
    return entries, profiles


def lock_identity(python: str, packages: Mapping[str, str]) -> str:
    """Which packages on which Python: the same for a lock and for what was installed from it, which is how an
    observation tells whether the row has been locked anew since."""
    minor = ".".join(python.split(".")[:2])
    text = "\n".join([minor, *(f"{name}=={version}" for name, version in sorted(packages.items()))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def identity_of(lock: Lock) -> str:
    """`lock_identity` of a lock; '' for one without solution."""
    return lock_identity(lock.python, lock.packages) if lock.packages else ""


def _installed(observation: Observation | None) -> str:
    if observation is None or not observation.installed:
        return ""
    return lock_identity(observation.python, observation.installed)


def _said(result: CellResult) -> str:
    """In a person's words what went wrong, and in the toolchain's own."""
    title, said = result.finding.title, result.finding.said
    return title if not said or said in title else f"{title} ({said})"


def _lite_on_request(result: CellResult) -> bool:
    """Whether the converter's family makes TensorFlow Lite of another artifact, where that is asked for."""
    return any(one.makes == TFLITE for one in result.family.loads)


def _margin(result: CellResult) -> float | None:
    """That of the leg farthest apart; that of what is made on request is left out: not every run asks for it."""
    left_out = lite_leg(result.judgement.legs) if _lite_on_request(result) else None
    legs = (leg for name, leg in result.judgement.legs.items() if name != left_out)
    factors = [float(value) for leg in legs if (value := leg.get("tightest")) is not None]
    if not factors:
        return None
    widest = max(factors)
    return _rounded(min(1 / widest, MOST_MARGIN)) if widest > 0 else MOST_MARGIN


def _inference(observation: Observation | None) -> float | None:
    seconds = observation.facts.get("inference_seconds") if observation is not None else None
    return _rounded(seconds)


def _disk(observation: Observation | None) -> float | None:
    for record in observation.passes if observation is not None else ():
        if record.result is not None and (size := _rounded(record.result.get("disk_mb"))) is not None:
            return size
    return None


def _rounded(value: object) -> float | None:
    """Three digits tell all there is to tell."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(f"{value:.3g}")
