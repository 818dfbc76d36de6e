"""How the artifacts of a family are compared: the passes that load them, and the package that runs them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matrix.store.records import Pass

# The files of outputs of the converted model in memory, and of the torch module in its converter's environment.
MEMORY = "memory.npz"
OWN = "own.npz"


@dataclass(frozen=True)
class Scheme:
    """What judging has to know of a family. `runtime` is the package that runs its artifacts, as in the ids of
    comparisons, `title` its name as people write it. `in_memory`: the converted model is also run before it is saved.
    `artifacts` are the passes that load artifacts, in order. `torch`: it takes the torch module itself."""

    name: str
    runtime: str
    title: str
    in_memory: bool
    artifacts: tuple[Pass, ...]
    torch: bool = False

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Scheme:
        """Read the data of `dataclasses.asdict`, even after being JSON."""
        artifacts = tuple(Pass.of_document(one) for one in document["artifacts"])
        return cls(**{**document, "artifacts": artifacts})

    @property
    def converter_leg(self) -> str:
        """The leg that compares the converted model in memory with ONNX Runtime."""
        return f"onnxruntime-{self.runtime}"

    def loaded_by(self, work: str) -> Pass | None:
        """Return the pass of this name that loads an artifact; None for any other."""
        return next((one for one in self.artifacts if one.name == work), None)
