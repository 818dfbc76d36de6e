"""What one job may leave behind, as the store keeps it: payloads of observations for every verdict there is.

The messages are those that the real packages print, so that the signatures recognise them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Payload = dict[str, Any]

EMPTY_LOG = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

_CONVERT = ("import", "load", "check", "convert", "run", "save")
_EXPORT = ("import", "model", "forward", "export")
_REFERENCE = ("import", "load", "run")

_FRAME = (
    'Traceback (most recent call last):\n  File "converter/results.py", line 50, in attempt\n'
    "    value = step(*arguments)\n"
)
_PROTOBUF = (
    "Descriptors cannot not be created directly.\nIf this call came from a _pb2.py file, your generated code is out of "
    "date and must be regenerated with protoc >= 3.19.0.\nIf you cannot immediately regenerate your protos, some other "
    "possible workarounds are:\n 1. Downgrade the protobuf package to 3.20.x or lower.\n 2. Set "
    "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python (but this will use pure-Python parsing and will be much slower)."
)


@dataclass(frozen=True)
class Raised:
    """An exception at a stage."""

    stage: str
    type: str
    message: str

    @property
    def document(self) -> dict[str, Any]:
        short = self.type.rsplit(".", 1)[-1]
        return {
            "type": self.type,
            "mro": [self.type, "builtins.Exception", "builtins.BaseException", "builtins.object"],
            "message": self.message,
            "traceback": f"{_FRAME}{short}: {self.message}\n",
        }


@dataclass(frozen=True)
class Ended:
    """A worker that its limit, or a signal, ended in a stage."""

    stage: str
    stopped: Literal["timeout", "memory"] | None = None
    signal: int | None = None


@dataclass(frozen=True)
class Stopped:
    """A job that could not start."""

    stage: Literal["lock", "build"]
    kind: Literal["unsatisfiable", "infra", "unavailable", "error"]
    reason: str
    text: str


@dataclass(frozen=True)
class Numbers:
    """A conversion that worked; `differ`: with other numbers."""

    differ: bool = False


Outcome = Raised | Ended | Stopped | Numbers

MATCH = Numbers()
MISMATCH = Numbers(differ=True)
UNSUPPORTED = Raised(
    "run",
    "onnx.backend.test.runner.BackendIsNotSupposedToImplementIt",
    "in user code:\n\n    BackendIsNotSupposedToImplementIt: Unsqueeze version 13 is not implemented.\n",
)
PROTOBUF = Raised("import", "builtins.TypeError", _PROTOBUF)
CRASH = Ended("run", signal=11)
OOM = Ended("convert", stopped="memory")
TIMEOUT = Ended("run", stopped="timeout")
UNSATISFIABLE = Stopped(
    "lock",
    "unsatisfiable",
    "no-solution",
    "Because onnx-tf==1.10.0 depends on tensorflow-probability and only tensorflow-probability>=0.24.0 is available, "
    "your requirements are unsatisfiable.",
)
UNAVAILABLE = Stopped("build", "unavailable", "interpreter-missing", "Python 3.6 is not installed on this machine")
INFRA = Stopped("build", "infra", "index-timeout", "error: Failed to fetch: operation timed out")
EXPORT_FAILED = Raised(
    "export",
    "builtins.RuntimeError",
    "Exporting the operator grid_sampler to ONNX opset version 9 is not supported. Please open a bug to request ONNX "
    "export support for the missing operator.",
)

ERRORS = (
    PROTOBUF,
    Raised("import", "builtins.ModuleNotFoundError", "No module named 'tf_keras'"),
    Raised("convert", "builtins.RuntimeError", "GRU with linear_before_reset is not supported in Tensorflow."),
    Raised(
        "convert",
        "builtins.ValueError",
        "Shape must be rank 2 but is rank 3 for 'MatMul' (op: 'MatMul') with input shapes: [2,12,16], [16,32].",
    ),
    Raised("convert", "builtins.IndexError", "list index out of range"),
    Raised("run", "builtins.KeyError", "in user code:\n\n    roi = tensor_dict[node.inputs[1]]\n\n    KeyError: ''\n"),
    Raised(
        "run",
        "builtins.ValueError",
        "Dimensions must be equal, but are 72 and 12 for '{{node Add_12}} = Add[T=DT_FLOAT](concat_2/concat, "
        "Add_12/y)' with input shapes: [?,?,?,72], [12].",
    ),
    Raised("reload", "builtins.ValueError", "Node 'classes': Unknown input node 'TopKV2:1'"),
)

# How often each is drawn where nothing else decides.
WEIGHTS: Mapping[Outcome, int] = {
    MATCH: 520,
    MISMATCH: 40,
    UNSUPPORTED: 170,
    **dict.fromkeys(ERRORS, 22),
    CRASH: 20,
    OOM: 12,
    TIMEOUT: 14,
    UNSATISFIABLE: 16,
    UNAVAILABLE: 16,
    INFRA: 6,
}


@dataclass(frozen=True)
class Made:
    """An observation's payload and the columns that follow from it."""

    payload: Payload
    finding: bool
    bounded: Literal["timeout", "oom"] | None = None


@dataclass(frozen=True)
class Surroundings:
    """Where a job ran: what is installed there, and the name of its log's blob."""

    job: str
    installed: Mapping[str, str] = field(default_factory=dict)
    python: str = "3.9.18"
    log: str = EMPTY_LOG


def converted(outcome: Outcome, where: Surroundings, memory: str, seconds: float = 6.0) -> Made:
    """A conversion; `memory` is the blob of what the converted model computed."""
    if isinstance(outcome, Numbers):
        passes = [
            _pass("convert", _stages(_CONVERT, seconds), where, {"memory.npz": memory}, {"saved": "saved-model"}),
            _pass("reload", _stages(("import", "reload"), seconds), where, {"reloaded.npz": memory}),
        ]
        return _made(passes, where)
    if isinstance(outcome, Raised) and outcome.stage == "reload":
        first = _pass("convert", _stages(_CONVERT, seconds), where, {"memory.npz": memory}, {"saved": "saved-model"})
        return _made([first, *_failed("reload", ("import", "reload"), outcome, where, seconds)], where)
    return _not_done(outcome, "convert", _CONVERT, where, seconds)


def exported(outcome: Outcome, where: Surroundings, opset: int, torch: str, model: str, seconds: float = 4.0) -> Made:
    """An export; `torch` and `model` are the blobs of the outputs and of the file."""
    if outcome != MATCH:
        return _not_done(outcome, "export", _EXPORT, where, seconds)
    facts = {
        "given": [{"dtype": "float32", "name": "image", "shape": [1, 3, 64, 64]}],
        "graph_inputs": ["image"],
        "graph_outputs": ["mask"],
        "ir_version": 7,
        "operators": {"Add": 4, "Conv": 37, "Relu": 32, "Resize": 5, "Sigmoid": 1},
        "opset_written": opset,
        "opsets": {"ai.onnx": opset},
        "producer_version": where.installed.get("torch", ""),
        "returned": [{"dtype": "float32", "name": "mask", "shape": [1, 1, 64, 64]}],
    }
    files = {"torch.npz": torch, "torch-again.npz": torch, "model.onnx": model}
    return _made([_pass("export", _stages(_EXPORT, seconds), where, files, facts)], where)


def referred(where: Surroundings, reference: str, seconds: float = 1.0) -> Made:
    """What ONNX Runtime computed, twice the same."""
    files = {"reference.npz": reference, "again.npz": reference}
    return _made([_pass("reference", _stages(_REFERENCE, seconds), where, files, {"opset": 13})], where)


def _not_done(outcome: Outcome, name: str, stages: Sequence[str], where: Surroundings, seconds: float) -> Made:
    if isinstance(outcome, Stopped):
        obstacle = {"stage": outcome.stage, "kind": outcome.kind, "reason": outcome.reason, "text": outcome.text}
        lost = {"schema": 1, "passes": [], "obstacle": obstacle, "installed": {}, "python": ""}
        return Made(lost, finding=outcome.kind in ("unsatisfiable", "error"))
    assert isinstance(outcome, Raised | Ended)
    bounded: dict[str | None, Literal["timeout", "oom"]] = {"timeout": "timeout", "memory": "oom"}
    limit = outcome.stopped if isinstance(outcome, Ended) else None
    return _made(_failed(name, stages, outcome, where, seconds), where, bounded.get(limit))


def _failed(
    name: str, stages: Sequence[str], outcome: Raised | Ended, where: Surroundings, seconds: float
) -> list[dict[str, Any]]:
    through = _stages(stages[: stages.index(outcome.stage) + 1], seconds)
    if isinstance(outcome, Raised):
        through[-1]["status"] = "failed"
        failed = _pass(name, through, where)
        failed["result"]["error"] = outcome.document
        return [failed]
    through[-1] |= {"status": "running", "seconds": None}
    ended = _pass(name, through, where)
    ended["result"]["done"] = False
    return [
        ended
        | {
            "released": False,
            "stopped": outcome.stopped,
            "exit": {"code": None, "signal": outcome.signal, "oom": False} if outcome.signal else None,
        }
    ]


def _made(passes: list[dict[str, Any]], where: Surroundings, bounded: Literal["timeout", "oom"] | None = None) -> Made:
    payload = {
        "schema": 1,
        "passes": passes,
        "obstacle": None,
        "installed": dict(where.installed),
        "python": where.python,
    }
    return Made(payload, finding=True, bounded=bounded)


def _stages(names: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    return [
        {"stage": name, "status": "ok", "seconds": round(seconds / (index + 1), 6), "shared": False}
        for index, name in enumerate(names)
    ]


def _pass(
    name: str,
    stages: list[dict[str, Any]],
    where: Surroundings,
    files: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "name": name,
        "result": {
            "schema": 1,
            "job": where.job,
            "pass": name,
            "stages": stages,
            "error": None,
            "facts": dict(facts or {}),
            "versions": {},
            "files": sorted(files or {}),
            "peak_rss_mb": 496.1,
            "disk_mb": 889.4,
            "done": True,
        },
        "exit": None,
        "stopped": None,
        "released": True,
        "seconds": round(sum(stage["seconds"] or 0 for stage in stages), 3),
        "log": where.log,
        "files": dict(files or {}),
    }
