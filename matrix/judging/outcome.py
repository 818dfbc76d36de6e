"""What one observation says by itself: nothing went wrong, or where, how and why it did. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from matrix.judging.finding import Finding
from matrix.judging.matching import ErrorText, Match, Remedy
from matrix.judging.recognise import match

if TYPE_CHECKING:
    from matrix.store.records import Observation, PassRecord
    from matrix.table.model import Role, Stage, Verdict

UNRECOGNISED = "unrecognised"

# The worker's own status for "my driver is gone" (converter/lifeline.py).
_ORPHANED = 75

# Obstacles the driver met itself: it knows what they are, and their texts may hold words that mean something else in
# an installer's output.
_CERTAIN = frozenset(
    {
        "base-changed",
        "base-missing",
        "checkpoint-not-trusted",
        "driver-fault",
        "engine-error",
        "engine-lost",
        "interpreter-missing",
        "model-unusable",
    }
)

_TRUST = (
    Remedy(id="trust-checkpoint", text="Where you know who made the checkpoint: --trust lets it run code."),
    Remedy(id="use-docker-engine", text="Use --engine docker: there it may do no harm."),
    Remedy(
        id="newer-exporter",
        text="Choose an exporter that loads weights alone: --tier documented --only 'torch>=2.6'.",
    ),
)

# So much of what was recognised is looked for in one line: the rest may be in the next.
_TELLING = 24

# What a user's own code raised while these ran, where no signature knows better.
_USERS_REASONS = {"model": "model-code-failed", "forward": "forward-failed", "import": "model-code-failed"}
_USERS_STAGES = frozenset({"model", "forward"})

_WIDER_TIME = Remedy(id="raise-time-limit", text="give it more time: --timeout SECONDS")
_WIDER_MEMORY = Remedy(id="raise-memory-limit", text="give it more memory: --memory MB")


@dataclass(frozen=True)
class Outcome:
    """Why an observation is not a success. `general` marks a reason that says no more than the class of an exception
    or the stage."""

    finding: Finding
    cause: str = ""
    remedies: tuple[Remedy, ...] = ()
    general: bool = False


def outcome(observation: Observation, log: str) -> Outcome | None:
    """None where every pass succeeded: result complete, without error, and the worker lived on.

    `log` is what the first pass in `trouble` printed.
    """
    role = observation.role
    if (obstacle := observation.obstacle) is not None:
        stage = cast("Stage", obstacle.stage)
        text = ErrorText(message=obstacle.text)
        known = None if obstacle.reason in _CERTAIN else match(role, stage, text, observation.family)
        title = known.title if known else _first_line(obstacle.text)
        # A signature written later may know better what a failed build meant; a lock without solution is what it is.
        verdict: Verdict = cast("Verdict", known.verdict) if known and obstacle.stage == "build" else obstacle.kind
        verdict = "error" if verdict == "unsatisfiable" and obstacle.stage == "build" else verdict
        return Outcome(
            Finding(verdict, role, stage, known.id if known else obstacle.reason, title),
            known.cause if known else "",
            known.remedies if known else _TRUST if obstacle.reason == "checkpoint-not-trusted" else (),
        )
    for record in observation.passes:
        if (found := of_pass(observation, record, log)) is not None:
            return found
    if not observation.passes:
        return Outcome(Finding("infra", role, "import", "not-started", "the job was never started"))
    if observation.kind == "convert" and not observation.artifacts:
        return _without_result(role, _stage(observation.passes[-1]), "it ended without having saved anything")
    return None


def trouble(observation: Observation) -> PassRecord | None:
    """The first pass whose log may have to tell why it is no success."""
    return next((record for record in observation.passes if in_trouble(record)), None)


def in_trouble(record: PassRecord) -> bool:
    """Whether a worker died, or reports an error."""
    return record.exit is not None or bool((record.result or {}).get("error"))


def of_pass(observation: Observation, record: PassRecord, log: str) -> Outcome | None:
    """None where this pass succeeded; `log` is what it printed."""
    result = record.result or {}
    stage = _stage(record)
    error = result.get("error")
    complete = bool(result.get("done"))
    role = observation.role
    if record.stopped == "timeout":
        seconds = f"{observation.limits_seconds:g}"
        return Outcome(
            Finding("timeout", role, stage, "time-limit", f"still in stage {stage} after {seconds} s"),
            "the limit of one pass of one job",
            (_WIDER_TIME,),
        )
    if record.stopped == "memory" or (record.exit is not None and record.exit.oom):
        title = f"needed more than {observation.limits_memory_mb} MB in stage {stage}"
        return Outcome(
            Finding("oom", role, stage, "memory-limit", title),
            "the limit on resident memory of one job",
            (_WIDER_MEMORY,),
        )
    if record.exit is not None:
        return _died(observation, record, stage, complete and not error, log)
    if error:
        text = ErrorText(
            str(error.get("type", "")),
            tuple(map(str, error.get("mro", ()))),
            str(error.get("message", "")),
            str(error.get("traceback", "")),
            log,
        )
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
    if not complete or not record.released:
        return _without_result(role, stage, "the worker went on without leaving a complete result")
    if "model.onnx" in result.get("files", ()) and "model.onnx" not in record.files:
        # A link in its place, or more than 4 GB: without it nothing can follow, today or later.
        return _without_result(role, stage, "the ONNX file it says it wrote is no plain file of at most 4 GB")
    return None


def _without_result(role: Role, stage: str, title: str) -> Outcome:
    return Outcome(Finding("error", role, stage, "no-result", title))


def _in_users_code(
    place: dict[str, Any], role: Role, stage: str, error: ErrorText, known: Match | None, given: object
) -> Outcome:
    """A user's own file is at fault: where, what was raised there and what it was given."""
    where = f"{place.get('file')}:{place.get('line')}"
    inside = f" in {place['function']}" if place.get("function") else ""
    message = _shortened(error.message)
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
        fed = f"; it was given {', '.join(shapes)}"
    reason = known.id if known else _USERS_REASONS.get(stage, UNRECOGNISED)
    return Outcome(
        Finding("error", role, stage, reason, f"{where}{inside}: {said}{fed}"),
        known.cause if known else str(place.get("code") or ""),
        known.remedies if known else (),
    )


def _died(observation: Observation, record: PassRecord, stage: str, had_result: bool, log: str) -> Outcome:
    ended, role = record.exit, observation.role
    assert ended is not None
    if had_result:
        title = f"left a good result and then died ({_how(ended.code, ended.signal)})"
        return Outcome(
            Finding("crash" if ended.signal else "error", role, stage, "died-after-result", title),
            "giving back what the job held ended the process; a result from such a process is not trusted",
        )
    if ended.signal == signal.SIGKILL or ended.code == _ORPHANED:
        title = "something outside the driver ended the worker (kernel, operator)"
        return Outcome(Finding("infra", role, stage, "killed-from-outside", title))
    known = match(role, cast("Stage", stage), ErrorText(log=log), observation.family)
    if ended.signal:
        title = f"died in stage {stage} of {_how(None, ended.signal)}"
        if known is not None and known.verdict == "error":
            return Outcome(Finding("crash", role, stage, known.id, known.title), known.cause, known.remedies)
        if known is not None:
            return _recognised(known, role, stage)
        return Outcome(Finding("crash", role, stage, _signal_name(ended.signal).lower(), title))
    if known is not None and ended.code != 0:
        return _recognised(known, role, stage)
    title = f"the process ended itself in stage {stage} (exit status {ended.code}) without a result"
    return Outcome(
        Finding("error", role, stage, "exit-without-result", title),
        "something called exit; a worker is ended by its driver, never by itself",
    )


def _recognised(known: Match, role: Role, stage: str, said: str = "") -> Outcome:
    finding = Finding(cast("Verdict", known.verdict), role, stage, known.id, known.title, said)
    return Outcome(finding, known.cause, known.remedies, known.general)


def _stage(record: PassRecord) -> str:
    """The furthest stage reached. A worker that loads what was saved is there for one stage only."""
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


def _how(code: int | None, number: int | None) -> str:
    return _signal_name(number) if number else f"exit status {code}"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")[:300]


def _telling_line(message: str, recognised: str) -> str:
    """Of a message of many lines the one that was recognised, else the last."""
    for line in message.splitlines():
        if recognised and " ".join(line.split()).find(recognised[:_TELLING]) >= 0:
            return line.strip()[:300]
    return _last_line(message)


def _shortened(text: str) -> str:
    return " ".join(text.split())[:600] or "no message"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if len(lines) <= 1 else lines[-1])[:300] if lines else "no message"
