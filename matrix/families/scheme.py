"""How what a family makes is compared: which passes load its artifacts, and what runs them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matrix.store.records import Pass

# What the files of arrays are called here: of the converted model in memory, and of the torch module in its converter's
# own environment.
MEMORY = "memory.npz"
OWN = "own.npz"


@dataclass(frozen=True)
class Scheme:
    """What judging has to know of a family. `runtime` is the package that runs its artifacts, as it is written in the
    ids of comparisons, and `title` as people write it. `in_memory`: the converted model is also run before it is saved.
    `artifacts` are the passes that load what was saved, in order. `torch`: it takes the torch module itself."""

    name: str
    runtime: str
    title: str
    in_memory: bool
    artifacts: tuple[Pass, ...]
    torch: bool = False

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Scheme:
        """Read what `dataclasses.asdict` made of one, also after it was JSON."""
        artifacts = tuple(Pass.of_document(one) for one in document["artifacts"])
        return cls(**{**document, "artifacts": artifacts})

    @property
    def converter_leg(self) -> str:
        """The comparison of the converted model in memory with ONNX Runtime."""
        return f"onnxruntime-{self.runtime}"

    def loaded_by(self, work: str) -> Pass | None:
        """The pass of this name."""
        return next((one for one in self.artifacts if one.name == work), None)
