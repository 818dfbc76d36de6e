"""Jobs and their identity: hash(environment, converter code, parameters, input bytes). Nothing else decides
whether a job runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matrix.config.exporters import Exporter
from matrix.config.model import Limits, ModelSpec, Role
from matrix.converter_code import ConverterCode
from matrix.environments.engine import Environment, PassName
from matrix.locks.lockfile import Lock
from matrix.store.records import JobKind, Observation, Obstacle, PassRecord

ROLES: dict[JobKind, Role] = {"export": "exporter", "reference": "reference", "convert": "converter"}

# A job's passes, each in a worker of its own: what is reloaded must come from the saved artifact alone.
PASSES: dict[JobKind, tuple[PassName, ...]] = {
    "export": ("export",),
    "reference": ("reference",),
    "convert": ("convert", "reload"),
}

# The only files taken out of a pass's folder.
FILES: dict[PassName, tuple[str, ...]] = {
    "export": ("torch.npz", "model.onnx"),
    "reference": ("reference.npz", "again.npz"),
    "convert": ("memory.npz",),
    "reload": ("reloaded.npz",),
}

# Handed from one pass of a job to the next, and not kept: a rerun makes it again.
CARRIED = "saved"

# The name a user's factory file has inside a job's folder.
FACTORY_FILE = "factory.py"

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
        inputs: str,
        factory: str | None,
    ) -> Job:
        """`inputs` is the blob of the inputs, `factory` that of the user's factory file, if it is one."""
        name = model.factory
        if factory is not None:
            name = f"{FACTORY_FILE}:{model.factory.rsplit(':', 1)[1]}"
        params = {
            "factory": name,
            "seed": model.seed,
            "via": exporter.via,
            "opset": opset,
            "inputs": [item.name for item in model.inputs],
            "outputs": list(model.outputs),
            "arguments": {},
        }
        modules = [name.split(":")[0]] if factory is None else []
        files = {"inputs.npz": inputs} | ({FACTORY_FILE: factory} if factory else {})
        return self._job("export", environment, params, files, modules)

    def reference(self, environment: str, onnx: str, inputs: str) -> Job:
        return self._job("reference", environment, {}, {"model.onnx": onnx, "inputs.npz": inputs}, [])

    def convert(self, environment: str, onnx: str, inputs: str) -> Job:
        return self._job("convert", environment, {}, {"model.onnx": onnx, "inputs.npz": inputs}, [])

    def _job(
        self,
        kind: JobKind,
        environment: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, str],
        modules: list[str],
    ) -> Job:
        entries = ("converter.worker", *(f"converter.stages.{name}" for name in PASSES[kind]), *modules)
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
        return Job(hashlib.sha256(text.encode()).hexdigest(), kind, params, inputs)


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
    return not model.factory.startswith(_ZOO)


def factory_file(model: ModelSpec, table: Path) -> Path | None:
    """The user's file a factory names, relative to the table; None for a module of the zoo."""
    place = model.factory.rsplit(":", 1)[0]
    return table.parent / place if place.endswith(".py") else None
