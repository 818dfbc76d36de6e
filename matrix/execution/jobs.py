"""Jobs and their identity: hash(environment, converter code, parameters, input bytes). Nothing else decides
whether a job runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from matrix.config.exporters import Exporter
from matrix.config.model import Limits, ModelSpec, Role
from matrix.converter_code import ConverterCode
from matrix.environments.engine import Environment, PassName
from matrix.execution.materials import factory_name
from matrix.locks.lockfile import Lock
from matrix.store.records import JobKind, Observation, Obstacle, PassRecord

ROLES: dict[JobKind, Role] = {
    "export": "exporter",
    "inspect": "reference",
    "alter": "reference",
    "reference": "reference",
    "expose": "reference",
    "convert": "converter",
    "trace": "converter",
    "coverage": "converter",
}

# The only files taken out of a pass's folder.
FILES: dict[PassName, tuple[str, ...]] = {
    "export": ("torch.npz", "torch-again.npz", "model.onnx"),
    "inspect": ("model.onnx", "given.npz"),
    "alter": ("model.onnx",),
    "reference": ("reference.npz", "again.npz"),
    "expose": ("exposed.onnx", "exposed.npz"),
    "convert": ("memory.npz",),
    "reload": ("reloaded.npz",),
    "tflite": ("tflite.npz",),
    "trace": ("traced.npz",),
    "coverage": ("cases.json", "expected.npz", "actual.npz"),
}

# Handed from one pass of a job to the next, and not kept: a rerun makes it again.
CARRIED = "saved"

# Where the models lie that are ours; any other is a user's.
_ZOO = "converter.zoo."


@dataclass(frozen=True)
class Job:
    """One unit of work. `inputs` maps file names in the job's folder to blobs; `alone`: it comes from a user's model
    and gets a worker that nothing else uses."""

    id: str
    kind: JobKind
    params: Mapping[str, Any] = field(compare=False)
    inputs: Mapping[str, str] = field(compare=False)
    alone: bool = field(default=False, compare=False)

    @property
    def folder(self) -> str:
        return self.id[:24]

    @property
    def passes(self) -> tuple[PassName, ...]:
        """Each in a worker of its own: what is reloaded must come from the saved artifact alone."""
        if self.kind != "convert":
            return (self.kind,)
        return ("convert", "reload", "tflite") if self.params.get("tflite") else ("convert", "reload")


class JobMaker:
    """Makes jobs for one state of converter/."""

    def __init__(self, code: ConverterCode) -> None:
        self._code = code
        self._digests: dict[tuple[str, ...], str] = {}

    def export(
        self,
        environment: str,
        model: ModelSpec,
        exporter: Exporter,
        opset: int,
        ir_version: int | None,
        trusted: bool,
        inputs: str,
        files: Mapping[str, str],
        names: Sequence[str] | None = None,
    ) -> Job:
        """`names` are those of the inputs where the model does not state them.

        `inputs` is the blob of the inputs, `files` those of a user's model. `ir_version` is for a builder, `trusted`
        says that a checkpoint may run code."""
        name = factory_name(model)
        params: dict[str, Any] = {
            "factory": name,
            "seed": model.seed,
            "via": exporter.via,
            "opset": opset,
            "inputs": list(names or (item.name for item in model.inputs)),
            "outputs": list(model.outputs),
            "arguments": model.arguments,
            "dynamic": {item.name: item.dynamic for item in model.inputs if item.dynamic},
        }
        modules = [name.split(":")[0]]
        if model.checkpoint is not None:
            params["checkpoint"] = {"key": model.checkpoint_key, "trusted": trusted}
        if exporter.via == "builder":
            assert model.builder is not None
            params |= {"builder": model.builder.write, "ir_version": ir_version}
            modules.append(model.builder.write.split(":")[0])
        return self._job("export", environment, params, {"inputs.npz": inputs, **files}, modules)

    def inspect(self, environment: str, files: Mapping[str, str]) -> Job:
        """`files`: model.onnx, what lies beside it, reference outputs."""
        return self._job("inspect", environment, {}, files)

    def alter(self, environment: str, onnx: str, change: tuple[str, str | int | bool]) -> Job:
        return self._job("alter", environment, {"change": dict([change])}, {"model.onnx": onnx})

    def reference(self, environment: str, onnx: str, inputs: str) -> Job:
        return self._job("reference", environment, {}, {"model.onnx": onnx, "inputs.npz": inputs})

    def expose(self, environment: str, onnx: str, inputs: str, case: int) -> Job:
        return self._job("expose", environment, {"case": case}, {"model.onnx": onnx, "inputs.npz": inputs})

    def convert(
        self, environment: str, onnx: str, inputs: str, environ: Mapping[str, str] | None = None, tflite: bool = False
    ) -> Job:
        params = _environ(environ) | ({"tflite": True} if tflite else {})
        return self._job("convert", environment, params, {"model.onnx": onnx, "inputs.npz": inputs})

    def trace(
        self, environment: str, onnx: str, inputs: str, case: int, environ: Mapping[str, str] | None = None
    ) -> Job:
        params = _environ(environ) | {"case": case}
        return self._job("trace", environment, params, {"model.onnx": onnx, "inputs.npz": inputs})

    def coverage(self, environment: str) -> Job:
        """The backend test cases that the environment's own onnx ships."""
        return self._job("coverage", environment, {}, {})

    def _job(
        self,
        kind: JobKind,
        environment: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, str],
        modules: list[str] | None = None,
    ) -> Job:
        job = Job("", kind, params, inputs)
        stages = (f"converter.stages.{name}" for name in job.passes)
        entries = ("converter.worker", *stages, *(modules or ()))
        if entries not in self._digests:
            self._digests[entries] = self._code.digest(entries)
        text = json.dumps(
            {
                "kind": kind,
                "environment": environment,
                "code": self._digests[entries],
                "params": params,
                "inputs": dict(inputs),
            },
            sort_keys=True,
        )
        return replace(job, id=hashlib.sha256(text.encode()).hexdigest())


def _environ(environ: Mapping[str, str] | None) -> dict[str, Any]:
    return {"environ": dict(environ)} if environ else {}


def observed(
    job: Job,
    lock: Lock,
    limits: Limits,
    passes: tuple[PassRecord, ...] = (),
    environment: Environment | None = None,
    obstacle: Obstacle | None = None,
) -> Observation:
    """What is known of a job afterwards; without `environment` it never reached one, and the lock speaks for it."""
    return Observation(
        job=job.id,
        kind=job.kind,
        role=ROLES[job.kind],
        environment=lock.name,
        environment_id=environment.id if environment else "",
        limits_seconds=limits.seconds,
        limits_memory_mb=limits.memory_mb,
        passes=passes,
        obstacle=obstacle,
        installed=dict(environment.installed if environment else lock.packages),
        python=environment.interpreter if environment else lock.python,
    )


def is_users(model: ModelSpec) -> bool:
    """Whether a model is a user's own: its code and its files are not trusted to leave a worker as they found it."""
    ours = model.factory is not None and model.factory.startswith(_ZOO)
    return not ours or model.checkpoint is not None or model.source is not None
