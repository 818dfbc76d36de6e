"""Jobs and their identity: hash(environment, converter code, parameters, input bytes), the only key of stored
findings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from matrix.core.converter_code import ConverterCode
from matrix.environments.engine import Environment
from matrix.execution.job_types import JOB_TYPES, modules
from matrix.execution.user_files import factory_name
from matrix.families import Family
from matrix.packages.lock import Lock
from matrix.store.records import Observation, Obstacle, Pass, PassRecord
from matrix.table.exporters import Exporter
from matrix.table.model import Limits, ModelSpec

_SCHEMA = 1


@dataclass(frozen=True)
class Job:
    """One unit of work. `inputs` maps file names in the job's folder to blobs; `alone`: it runs a user's model and gets
    its own worker. `family` is the converter's, '' for other jobs."""

    id: str
    kind: str
    params: Mapping[str, Any] = field(compare=False)
    inputs: Mapping[str, str] = field(compare=False)
    passes: tuple[Pass, ...] = field(compare=False, default=())
    alone: bool = field(default=False, compare=False)
    family: str = field(default="", compare=False)

    @property
    def folder(self) -> str:
        return self.id[:24]

    def document(self) -> dict[str, Any]:
        """Return the job as JSON-ready data; `from_document` is the inverse."""
        return {
            "schema": _SCHEMA,
            "id": self.id,
            "kind": self.kind,
            "params": dict(self.params),
            "inputs": dict(self.inputs),
            "passes": [asdict(one) for one in self.passes],
            "alone": self.alone,
            "family": self.family,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Job:
        """Read the data of `document`. Raises KeyError, TypeError or ValueError for anything else."""
        if document["schema"] != _SCHEMA:
            raise ValueError(f"a job of schema {document['schema']!r}; this version reads {_SCHEMA}")
        fields = {name: value for name, value in document.items() if name not in ("schema", "passes")}
        return cls(**fields, passes=tuple(map(Pass.of_document, document["passes"])))


class JobMaker:
    """Makes jobs for one state of converter/."""

    def __init__(self, code: ConverterCode) -> None:
        self._code = code
        self._digests: dict[tuple[str, ...], str] = {}

    def make(
        self,
        kind: str,
        environment: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, str],
        family: Family | None = None,
        imports: Sequence[str] = (),
    ) -> Job:
        """Make a job for the environment of this identity. `family` is the converter's, `imports` are further modules
        of converter/ that run in it."""
        passes = JOB_TYPES[kind].passes or _of_family(kind, family, params)
        entries = (*modules(passes), *imports)
        if entries not in self._digests:
            self._digests[entries] = self._code.digest(entries)
        text = json.dumps(
            {
                "kind": kind,
                "environment": environment,
                "code": self._digests[entries],
                "params": dict(params),
                "inputs": dict(inputs),
                # The files that a pass leaves and loads define its work as much as its code does.
                "passes": [[one.module, one.leaves, one.loads, one.makes] for one in passes],
            },
            sort_keys=True,
        )
        identity = hashlib.sha256(text.encode()).hexdigest()
        return Job(identity, kind, params, inputs, passes, family=family.name if family is not None else "")


def _of_family(kind: str, family: Family | None, params: Mapping[str, Any]) -> tuple[Pass, ...]:
    """Return the passes of a job in a converter's environment."""
    assert family is not None
    if kind in ("convert", "direct"):
        # TensorFlow Lite is made on request; a family makes its other artifacts always.
        return (family.converts, *(one for one in family.loads if params.get("tflite") or one.makes != "tflite"))
    return (family.further(kind),)


def factory_params(
    model: ModelSpec, trusted: bool, names: Sequence[str] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters of a job that calls a model's factory, and the modules of converter/ that it imports.

    `names` are those of the inputs where the model does not state them; `trusted`: a checkpoint may run code.
    """
    name = factory_name(model)
    params: dict[str, Any] = {
        "factory": name,
        "seed": model.seed,
        "inputs": list(names or (item.name for item in model.inputs)),
        "outputs": list(model.outputs),
        "arguments": model.arguments,
    }
    if model.checkpoint is not None:
        params["checkpoint"] = {"key": model.checkpoint_key, "trusted": trusted}
    return params, [name.split(":")[0]]


def export_params(
    model: ModelSpec,
    exporter: Exporter,
    opset: int,
    ir_version: int | None,
    trusted: bool,
    names: Sequence[str] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Return the same of an export. `ir_version` is for a builder."""
    params, imports = factory_params(model, trusted, names)
    params |= {
        "via": exporter.via,
        "opset": opset,
        "dynamic": {item.name: item.dynamic for item in model.inputs if item.dynamic},
    }
    if exporter.via == "builder":
        assert model.builder is not None
        params |= {"builder": model.builder.write, "ir_version": ir_version}
        imports.append(model.builder.write.split(":")[0])
    return params, imports


def observed(
    job: Job,
    lock: Lock,
    limits: Limits,
    passes: tuple[PassRecord, ...] = (),
    environment: Environment | None = None,
    obstacle: Obstacle | None = None,
) -> Observation:
    """Make the observation of a job. Without an `environment` it never reached one: the packages are the lock's."""
    return Observation(
        job=job.id,
        kind=job.kind,
        role=JOB_TYPES[job.kind].role,
        environment=lock.name,
        environment_id=environment.id if environment else "",
        limits_seconds=limits.seconds,
        limits_memory_mb=limits.memory_mb,
        passes=passes,
        obstacle=obstacle,
        installed=dict(environment.installed if environment else lock.packages),
        python=environment.interpreter if environment else lock.python,
        family=job.family,
    )
