"""The outcome of one observation by itself: success, or where, how and why it failed. Pure."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from matrix.judging.finding import Finding
from matrix.judging.known_failures import match
from matrix.judging.matching import ErrorText, Match, Remedy

if TYPE_CHECKING:
    from matrix.store.records import Exit, Observation, Obstacle, PassRecord
    from matrix.table.model import Role, Stage, Verdict

UNRECOGNISED = "unrecognised"

# The exit status of a worker whose driver died (converter/lifeline.py).
_ORPHANED = 75

# Obstacles that the driver met itself. They are not matched with signatures: words of their texts may mean something
# else in an installer's output.
_CERTAIN = frozenset((
    "base-changed", "base-missing", "checkpoint-not-trusted", "driver-fault", "engine-error", "engine-lost",
    "interpreter-missing", "model-unusable",
))  # fmt: skip

_TRUST = (
    Remedy(id="trust-checkpoint", text="If you trust the author of the checkpoint, let it run code: --trust."),
    Remedy(id="use-docker-engine", text="Use --engine docker: its containers are isolated."),
    Remedy(
        id="newer-exporter",
        text="Choose an exporter that loads only weights: --tier documented --only 'torch>=2.6'.",
    ),
)

# Characters of a recognised text to find in one line: the rest may be on the next.
_TELLING = 24

# Reasons for exceptions of a user's own code in these stages, where no signature matches.
_USERS_REASONS = {"model": "model-code-failed", "forward": "forward-failed", "import": "model-code-failed"}
_USERS_STAGES = frozenset({"model", "forward"})

_WIDER_TIME = Remedy(id="raise-time-limit", text="give it more time: --timeout SECONDS")
_WIDER_MEMORY = Remedy(id="raise-memory-limit", text="give it more memory: --memory MB")


@dataclass(frozen=True)
class Outcome:
    """Why an observation is not a success. `general` marks a reason that names no more than the class of an exception
    or the stage."""

    finding: Finding
    cause: str = ""
    remedies: tuple[Remedy, ...] = ()
    general: bool = False


def outcome(observation: Observation, log: str) -> Outcome | None:
    """Return None where every pass succeeded: it left a complete result without an error, and its worker did not die.

    `log` is the log of the first pass in `trouble`.
    """
    if observation.obstacle is not None:
        return _obstructed(observation, observation.obstacle)
    for record in observation.passes:
        if (found := of_pass(observation, record, log)) is not None:
            return found
    if not observation.passes:
        return Outcome(Finding("infra", observation.role, "import", "not-started", "the job was never started"))
    if observation.kind == "convert" and not observation.artifacts:
        return _without_result(observation.role, _stage(observation.passes[-1]), "it ended without saving anything")
    return None


def _obstructed(observation: Observation, obstacle: Obstacle) -> Outcome:
    stage = cast("Stage", obstacle.stage)
    known = None
    if obstacle.reason not in _CERTAIN:
        known = match(observation.role, stage, ErrorText(message=obstacle.text), observation.family)
    # Today's signatures may know better what a failed build meant; a lock without a solution stays what it is.
    verdict: Verdict = cast("Verdict", known.verdict) if known and stage == "build" else obstacle.kind
    verdict = "error" if verdict == "unsatisfiable" and stage == "build" else verdict
    if known is not None:
        finding = Finding(verdict, observation.role, stage, known.id, known.title)
        return Outcome(finding, known.cause, known.remedies)
    finding = Finding(verdict, observation.role, stage, obstacle.reason, _lines(obstacle.text)[0][:300])
    return Outcome(finding, remedies=_TRUST if obstacle.reason == "checkpoint-not-trusted" else ())


def trouble(observation: Observation) -> PassRecord | None:
    """Return the first pass whose log may be needed to explain a failure."""
    return next((record for record in observation.passes if in_trouble(record)), None)


def in_trouble(record: PassRecord) -> bool:
    """Tell whether a worker died or reported an error."""
    return record.exit is not None or bool((record.result or {}).get("error"))


def of_pass(observation: Observation, record: PassRecord, log: str) -> Outcome | None:
    """Return None where this pass succeeded; `log` is its log."""
    result = record.result or {}
    stage = _stage(record)
    error = result.get("error")
    complete = bool(result.get("done"))
    role = observation.role
    if record.stopped == "timeout":
        title = f"still in stage {stage} after {observation.limits_seconds:g} s"
        finding = Finding("timeout", role, stage, "time-limit", title)
        return Outcome(finding, "the time limit of one pass of one job", (_WIDER_TIME,))
    if record.stopped == "memory" or (record.exit is not None and record.exit.oom):
        title = f"needed more than {observation.limits_memory_mb} MB in stage {stage}"
        finding = Finding("oom", role, stage, "memory-limit", title)
        return Outcome(finding, "the limit on resident memory of one job", (_WIDER_MEMORY,))
    if record.exit is not None:
        return _died(observation, record.exit, stage, complete and not error, log)
    if error:
        return _raised(observation, error, stage, log)
    if not complete or not record.released:
        return _without_result(role, stage, "the worker continued without leaving a complete result")
    if "model.onnx" in result.get("files", ()) and "model.onnx" not in record.files:
        # A link in its place, or more than 4 GB: no later job can use it.
        return _without_result(role, stage, "the ONNX file that it reported is not a plain file of at most 4 GB")
    return None


def _raised(observation: Observation, error: Mapping[str, Any], stage: str, log: str) -> Outcome:
    text = ErrorText(
        str(error.get("type", "")),
        tuple(map(str, error.get("mro", ()))),
        str(error.get("message", "")),
        str(error.get("traceback", "")),
        log,
    )
    role = observation.role
    known = match(role, cast("Stage", stage), text, observation.family)
    users = error.get("user")
    theirs = known is None or (known.verdict == "error" and (known.general or stage in _USERS_STAGES))
    if isinstance(users, dict) and theirs:
        return _in_users_code(users, role, stage, text, known, observation.facts.get("given"))
    kind = text.type.rsplit(".", 1)[-1]
    line = _telling_line(text.message, known.text if known else "")
    # onnx-tf's own exceptions begin with their class.
    short = line if line.startswith(f"{kind}:") else f"{kind}: {line}"
    if known is None:
        return Outcome(Finding("error", role, stage, UNRECOGNISED, short))
    return _recognised(known, role, stage, short)


def _without_result(role: Role, stage: str, title: str) -> Outcome:
    return Outcome(Finding("error", role, stage, "no-result", title))


def _in_users_code(
    place: dict[str, Any], role: Role, stage: str, error: ErrorText, known: Match | None, given: object
) -> Outcome:
    """Blame a user's own file: where in it, what was raised there, and with which inputs."""
    where = f"{place.get('file')}:{place.get('line')}"
    inside = f" in {place['function']}" if place.get("function") else ""
    message = " ".join(error.message.split())[:600] or "no message"
    said = f"{known.title if known else error.type.rsplit('.', 1)[-1]}: {message}"
    if known is not None and message[:_TELLING] in known.title:
        said = known.title
    fed = ""
    if stage == "forward" and isinstance(given, list):
        shapes = (
            f"{item.get('name')} {item.get('dtype')} {'x'.join(map(str, item['shape']))}"
            for item in given
            if isinstance(item, dict) and isinstance(item.get("shape"), list)
        )
        fed = f"; its inputs were {', '.join(shapes)}"
    reason = known.id if known else _USERS_REASONS.get(stage, UNRECOGNISED)
    return Outcome(
        Finding("error", role, stage, reason, f"{where}{inside}: {said}{fed}"),
        known.cause if known else str(place.get("code") or ""),
        known.remedies if known else (),
    )


def _died(observation: Observation, ended: Exit, stage: str, had_result: bool, log: str) -> Outcome:
    role = observation.role
    how = _signal_name(ended.signal) if ended.signal else f"exit status {ended.code}"
    if had_result:
        verdict: Verdict = "crash" if ended.signal else "error"
        return Outcome(
            Finding(verdict, role, stage, "died-after-result", f"left a good result and then died ({how})"),
            "the process ended while releasing what the job held; its result is not trusted",
        )
    if ended.signal == signal.SIGKILL or ended.code == _ORPHANED:
        title = "the worker was killed from outside (by the kernel or an operator)"
        return Outcome(Finding("infra", role, stage, "killed-from-outside", title))
    known = match(role, cast("Stage", stage), ErrorText(log=log), observation.family)
    if ended.signal and known is None:
        return Outcome(Finding("crash", role, stage, how.lower(), f"died in stage {stage} of {how}"))
    if ended.signal and known is not None and known.verdict == "error":
        return Outcome(Finding("crash", role, stage, known.id, known.title), known.cause, known.remedies)
    if known is not None and ended.code != 0:
        return _recognised(known, role, stage)
    title = f"the process exited in stage {stage} ({how}) without a result"
    return Outcome(
        Finding("error", role, stage, "exit-without-result", title),
        "something called exit; a worker is ended only by its driver",
    )


def _recognised(known: Match, role: Role, stage: str, said: str = "") -> Outcome:
    finding = Finding(cast("Verdict", known.verdict), role, stage, known.id, known.title, said)
    return Outcome(finding, known.cause, known.remedies, known.general)


def _stage(record: PassRecord) -> str:
    """Return the furthest stage. A worker that loads what was saved has only one."""
    if record.name.startswith("reload"):
        return "reload"
    result = record.result or {}
    stages = [str(item.get("stage")) for item in result.get("stages", []) if isinstance(item, dict)]
    return stages[-1] if stages else "import"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal-{number}"


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()] or ["no message"]


def _telling_line(message: str, recognised: str) -> str:
    """Return the line of a message that was recognised, else its last one."""
    lines = _lines(message)
    told = (line for line in lines if recognised and recognised[:_TELLING] in " ".join(line.split()))
    return next(told, lines[-1])[:300]
