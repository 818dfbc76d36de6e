"""What the conversion is held against: ONNX Runtime carried in the image, outputs the user gave, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matrix.store.records import Observation, PassRecord


@dataclass(frozen=True)
class Reference:
    """`observation` is None where there is nothing to hold it against."""

    kind: Literal["carried", "given", "none"]
    words: str
    observation: Observation | None

    @classmethod
    def carried(cls, version: str, record: PassRecord) -> Reference:
        return cls("carried", f"ONNX Runtime {version}, carried in this image", _observation(record))

    @classmethod
    def given(cls, path: Path, stored: Path) -> Reference:
        """Outputs in a file have been observed once and repeat themselves trivially."""
        files = {"reference.npz": str(stored), "again.npz": str(stored)}
        record = PassRecord("reference", {"done": True}, None, None, True, 0.0, "", files)
        return cls("given", f"{path}, given", _observation(record))

    @classmethod
    def none(cls, why: str) -> Reference:
        return cls("none", f"none ({why})", None)


def _observation(record: PassRecord) -> Observation:
    return Observation("", "reference", "reference", "reference", "", 0.0, 0, (record,))
