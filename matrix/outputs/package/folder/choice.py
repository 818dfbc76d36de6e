"""The toolchain that `pick` chose, and the environments that follow from it."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from matrix.core.errors import UsageError
from matrix.core.paths import CONVERTER
from matrix.families import Family, family_of
from matrix.judging.cells import CellResult
from matrix.judging.tolerance import Tolerances
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell
from matrix.store.records import RunRecord
from matrix.table.ids import FILE

# The roles in the order in which a model passes through them.
ROLES = ("exporter", "reference", "converter")

TOGETHER = "environment"


def _this_machine() -> str:
    return f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}"


@dataclass(frozen=True)
class PackagePart:
    """One environment of the folder, for `roles`; its `folder` is '' if it is the only one."""

    name: str
    folder: str
    roles: tuple[str, ...]
    lock: Lock

    @property
    def prefix(self) -> str:
        """The start of its files' paths."""
        return f"{self.folder}/" if self.folder else ""

    @property
    def places(self) -> list[str]:
        """Where it may be, relative to the folder: as uv, pip's documentation and tox name it."""
        return [f"{self.prefix}{place}" for place in (".venv", "venv", "env")] + [f".tox/{self.name}-python"]

    @property
    def pip_only(self) -> bool:
        """Whether it holds a build that is in no package index, such as 2.13.0+cpu."""
        return any("+" in version for version in self.lock.packages.values())


@dataclass(frozen=True)
class Choice:
    """A cell that was judged `match`, with everything a user needs to reproduce it.

    `result` is that of `cell` itself, changes included. `exporter` is None for an .onnx file, and for a converter that
    takes the torch module itself; if it is the same lock as `converter`, everything runs in one environment.
    `reference` is needed if the file was altered or the model came as .onnx. The model's paths are relative to `root`;
    it was measured in `run`, on `host` (system and C library in words). `tflite`: TensorFlow Lite was asked for and
    measured. `code` is the folder converter/, with the passes of the family.

    Raises UsageError for another verdict than `match`, ValueError for locks that do not fit the cell.
    """

    cell: Cell
    result: CellResult
    converter: Lock
    exporter: Lock | None
    reference: Lock | None
    tolerances: Tolerances
    root: Path
    run: RunRecord
    tflite: bool = False
    code: Path = CONVERTER
    host: str = field(default_factory=_this_machine)

    def __post_init__(self) -> None:
        if self.result.finding.verdict != "match":
            raise UsageError(f"{self.cell.id} is not a match but {self.result.finding.verdict}: no folder is written")
        if (self.exporter is not None) != self.cell.exporter.writes:
            raise ValueError(f"{self.cell.id}: an exporter's lock is needed if a model is exported, and only then")
        if self.needs_reference and self.reference is None:
            raise ValueError(f"{self.cell.id}: the lock of the reference environment is missing")

    @property
    def needs_reference(self) -> bool:
        """Whether the file is altered or inspected, which is done in the reference environment."""
        return bool(self.cell.alterations) or self.cell.exporter.via == FILE

    @property
    def family(self) -> Family:
        return family_of(self.cell.converter)

    @cached_property
    def parts(self) -> tuple[PackagePart, ...]:
        """The environments; roles with the same lock share one."""
        locks: dict[str, Lock | None] = {"exporter": self.exporter, "converter": self.converter}
        if self.needs_reference:
            locks["reference"] = self.reference
        shared: dict[str, tuple[Lock, list[str]]] = {}
        for role in ROLES:
            if (lock := locks.get(role)) is not None:
                shared.setdefault(lock.digest, (lock, []))[1].append(role)
        if len(shared) == 1:
            ((lock, roles),) = shared.values()
            return (PackagePart(TOGETHER, "", tuple(roles), lock),)
        # Named after its last role: of those that share one, the converter matters most to the user.
        return tuple(PackagePart(roles[-1], roles[-1], tuple(roles), lock) for lock, roles in shared.values())

    @property
    def native(self) -> PackagePart:
        """The environment of the converter."""
        return next(part for part in self.parts if "converter" in part.roles)
