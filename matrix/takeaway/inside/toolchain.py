"""What this image is: facts the driver wrote into it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matrix.verdicts.tolerance import Tolerance, Tolerances

FILE = "toolchain.json"


@dataclass(frozen=True)
class Toolchain:
    """`python` and `reference_python` are the interpreters to start, `onnxruntime` is None where the image has no
    reference. `tolerances` holds the table's changes by kind of number: {"float32": [rtol, atol]}."""

    row: str
    environment: str
    lock: str
    versions: dict[str, str]
    python: str
    reference_python: str
    onnxruntime: str | None
    tolerances: dict[str, tuple[float, float]]

    def text(self) -> str:
        """The content of the file."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def read(cls, folder: Path) -> Toolchain:
        facts: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return cls(**facts)

    @property
    def rule(self) -> Tolerances:
        return Tolerances().override({kind: Tolerance(*pair) for kind, pair in self.tolerances.items()})

    @property
    def tensorflow(self) -> tuple[str, str]:
        """The distribution that is really there, and its version."""
        name = next(name for name in ("tensorflow-cpu", "tensorflow") if name in self.versions)
        return name, self.versions[name]
