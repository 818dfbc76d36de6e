"""The toolchain of this image, as the driver described it in a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matrix.families.scheme import Scheme
from matrix.judging.tolerance import Tolerance, Tolerances

FILE = "toolchain.json"


@dataclass(frozen=True)
class Toolchain:
    """`python` and `reference_python` are the interpreters to start; `onnxruntime` is None if the image has no
    reference. `tolerances` are the table's changes by kind of number: {"float32": [rtol, atol]}. `packages` name the
    row, by the distributions installed; `converts` is the module that converts, `compared` the family's Scheme as
    data."""

    row: str
    environment: str
    lock: str
    versions: dict[str, str]
    python: str
    reference_python: str
    onnxruntime: str | None
    tolerances: dict[str, tuple[float, float]]
    packages: tuple[str, ...]
    converts: str
    compared: dict[str, Any]

    def text(self) -> str:
        """Return the content of the file."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def read(cls, folder: Path) -> Toolchain:
        facts: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return cls(**facts)

    @property
    def rule(self) -> Tolerances:
        return Tolerances().override({kind: Tolerance(*pair) for kind, pair in self.tolerances.items()})

    @property
    def scheme(self) -> Scheme:
        return Scheme.of_document(self.compared)

    @property
    def words(self) -> str:
        """The converter and the runtime of its artifacts: `onnx-tf 1.10.0 and tensorflow-cpu 2.8.0`."""
        return " and ".join(f"{name} {self.versions[name]}" for name in (self.packages[0], self.packages[-1]))
