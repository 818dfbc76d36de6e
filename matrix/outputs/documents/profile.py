"""The profile of a run as JSON-ready data, as `profile --format json` prints it.

Keys may be added, never renamed. Seconds that are unknown are null.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matrix.history.profile import Known, RunProfile, TimeRow
from matrix.outputs.wording.words import counted
from matrix.store.runs import utc

SCHEMA = 1


def document(found: RunProfile) -> dict[str, Any]:
    """Return the profile as JSON-ready data."""
    run = found.run
    return {
        "schema": SCHEMA,
        "run": run.id,
        "status": run.status,
        "tier": run.tier,
        "engine": run.engine,
        "started": utc(run.started).isoformat(),
        "wall_seconds": _rounded(found.wall),
        "parts": len(found.parts),
        "cores": found.cores,
        "slots": found.slots,
        "jobs": {"run": found.jobs, "cached": run.jobs_cached},
        "passes": len(found.passes),
        "processor_seconds": {
            "available": _rounded(found.core_seconds),
            "stages": _known(found.stage_cpu),
            "driver": _rounded(found.driver_cpu),
            "other_children": _rounded(found.other_cpu),
        },
        "elapsed_seconds": {
            "passes": _rounded(found.pass_seconds),
            "waited": _known(found.waited),
            "idle": _rounded(found.idle_seconds),
            "builds": _rounded(found.build_seconds),
        },
        "busy": None if found.busy is None else round(found.busy, 4),
        "at_once": [_rounded(seconds) for seconds in found.at_once],
        "stages": [_row(row, found) for row in found.by_stage],
        "job_types": [_row(row, found) for row in found.by_kind],
        "environments": [_row(row, found) for row in found.by_environment],
        "builds": [
            {"environment": span.environment, "began": _rounded(span.began), "seconds": _rounded(span.seconds)}
            for span in found.builds
        ],
        "critical_path": {
            "seconds": _rounded(found.path_seconds),
            "waited": _rounded(found.path_waited),
            "steps": [
                {
                    "kind": step.kind,
                    "environment": step.environment,
                    "spans": step.spans,
                    "began": _rounded(step.began),
                    "seconds": _rounded(step.seconds),
                    "waited": _rounded(step.waited),
                }
                for step in found.path
            ],
        },
        "notes": [*notes(found)],
    }


def notes(found: RunProfile) -> Iterator[str]:
    """Yield what the stored run does not tell, and what follows from that."""
    run, passes = found.run, len(found.passes)
    if run.ended is None:
        yield "the run has no end: its time is counted until its last job ended"
    if found.cores is None or not found.builds_known:
        yield (
            "cores, slots, the driver's processor seconds and builds are not all recorded: an older version made the "
            "run, or its driver was killed"
        )
    if len(found.parts) > 1:
        yield (
            f"the run has {len(found.parts)} parts, perhaps of several machines: cores and slots are summed, and the "
            "passes at once and the critical path are those of all parts together, by the clock of each machine"
        )
    if found.stage_cpu.seconds is None:
        yield "no pass recorded processor seconds: an older version made the run"
    elif missing := found.stage_cpu.unknown:
        yield (
            f"the processor seconds of {missing} of {passes} passes are not all known, such as those of a worker that "
            "was ended: sums are at least what is shown"
        )
    if "docker" in run.engine.split("+"):
        yield "containers are no children of the driver: only processor seconds of stages are known of them"
    if derived := sum(span.derived for span in found.passes):
        yield (
            f"{derived} of {passes} passes did not record when they began: that is computed from when their jobs ended"
        )
    if found.jobs < run.jobs_run:
        yield (
            f"{found.jobs} of {counted(run.jobs_run, 'job')} are stored; the others are missing here, removed by "
            "`history prune` or left out of an export"
        )
    if found.unusable:
        which = (
            "1 pass of unknown duration is"
            if found.unusable == 1
            else f"{found.unusable} passes of unknown duration are"
        )
        yield f"{which} left out"


def _row(row: TimeRow, found: RunProfile) -> dict[str, Any]:
    return {
        "name": row.name,
        "count": row.count,
        "seconds": _rounded(row.seconds),
        "cpu_seconds": _rounded(row.cpu.seconds),
        "cpu_unknown": row.cpu.unknown,
        "share": round(found.share(row), 4),
    }


def _known(value: Known) -> dict[str, Any]:
    return {"seconds": _rounded(value.seconds), "unknown_passes": value.unknown}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
