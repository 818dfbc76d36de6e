"""Derive evidence from judged cells. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from matrix.answers.evidence.records import Entry, Profile, ProfileKey
from matrix.answers.operators import uses
from matrix.judging.finding import Finding
from matrix.judging.judge import LITE_ONLY, TFLITE, lite_leg
from matrix.packages.versions import minor

if TYPE_CHECKING:
    from matrix.judging.cells import CellResult
    from matrix.packages.lock import Lock
    from matrix.store import CellRecord, Observation

# The margin of numbers that are equal bit for bit: JSON has no infinity.
_MOST_MARGIN = 1e9

# Enough of a message to recognise it; the observation has all of it.
_SAID = 240


def entry_of(result: CellResult, run: int) -> Entry:
    """Summarise a judged cell."""
    record, judgement, remedied = result.record, result.judgement, result.remedied
    parts = [part for part in (result.export, result.reference, result.convert) if part is not None]
    shown = remedied or result
    # An artifact made on request that fails alone: the model survived in the artifacts that are always made.
    lite_only = _lite_on_request(result) and (
        LITE_ONLY in judgement.remarks or (judgement.leg is not None and lite_leg([judgement.leg]) is not None)
    )
    found = judgement.finding
    # The failure in words for people, then the toolchain's own words.
    said = f"{found.title} ({found.said})" if found.said and found.said not in found.title else found.title
    return Entry(
        cell=record.cell,
        model=record.model,
        exporter=record.exporter,
        opset=record.opset,
        converter=record.converter,
        finding=Finding(
            "match" if lite_only else found.verdict, found.role, found.stage, found.reason, said=said[:_SAID]
        ),
        remedies=remedied.record.changes if remedied else (),
        margin=_margin(shown),
        inference_seconds=_rounded(shown.convert.facts.get("inference_seconds")) if shown.convert else None,
        converter_mb=_disk(result.convert),
        exporter_mb=_disk(result.export) if result.export.kind == "export" else None,
        exporter_lock=_installed(result.export),
        converter_lock=_installed(result.convert),
        date=max(part.created for part in parts).date(),
        run=run,
    )


def profile_of(record: CellRecord, export: Observation) -> Profile | None:
    """Read the profile of an exported or inspected .onnx file; None if no file was written."""
    facts = export.facts
    found = uses(facts)
    if not found or (export.kind == "export" and export.file("model.onnx") is None):
        return None
    opset, ir = (
        value if isinstance(value := facts.get(name), int) else None for name in ("opset_written", "ir_version")
    )
    return Profile(record.model, record.exporter, record.opset, opset, ir, found)


def derive(results: Iterable[CellResult], run: int) -> tuple[list[Entry], dict[ProfileKey, Profile]]:
    """Derive the entries of a run's cells and the profiles of their files."""
    entries, profiles = [], {}
    for result in results:
        entries.append(entry := entry_of(result, run))
        if entry.profile not in profiles and (profile := profile_of(result.record, result.export)) is not None:
            profiles[entry.profile] = profile
    return entries, profiles


def lock_identity(python: str, packages: Mapping[str, str]) -> str:
    """Hash the packages and the minor version of Python. A lock and the packages installed from it have the same
    identity, so an observation shows whether its row has been locked anew since."""
    text = "\n".join([minor(python), *(f"{name}=={version}" for name, version in sorted(packages.items()))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def identity_of(lock: Lock) -> str:
    """Return the `lock_identity` of a lock; '' if it has no solution."""
    return lock_identity(lock.python, lock.packages) if lock.packages else ""


def _installed(observation: Observation | None) -> str:
    if observation is None or not observation.installed:
        return ""
    return lock_identity(observation.python, observation.installed)


def _lite_on_request(result: CellResult) -> bool:
    """Whether the converter's family makes TensorFlow Lite from another artifact, and only on request."""
    return any(one.makes == TFLITE for one in result.family.loads)


def _margin(result: CellResult) -> float | None:
    """Return the margin of the worst leg. Legs of artifacts made on request are left out: not every run has them."""
    legs = result.judgement.legs
    left_out = lite_leg(legs) if _lite_on_request(result) else None
    factors = [leg.get("tightest") for name, leg in legs.items() if name != left_out]
    widest = max((float(factor) for factor in factors if factor is not None), default=None)
    if widest is None:
        return None
    return _rounded(min(1 / widest, _MOST_MARGIN)) if widest > 0 else _MOST_MARGIN


def _disk(observation: Observation | None) -> float | None:
    results = [record.result for record in (observation.passes if observation is not None else ())]
    sizes = (_rounded(result.get("disk_mb")) for result in results if result is not None)
    return next((size for size in sizes if size is not None), None)


def _rounded(value: object) -> float | None:
    """Round a number to three digits; None for anything else."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(f"{value:.3g}")
