"""What pick knows at its end, and the environments that follow from it."""

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

# The roles in the order in which a model meets them.
ROLES = ("exporter", "reference", "converter")

TOGETHER = "environment"


def _this_machine() -> str:
    """pick hands over on the machine that it measured on."""
    return f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}"


@dataclass(frozen=True)
class PackagePart:
    """One environment of the folder. `folder` is '' where it is the only one; `roles` are the parts it plays."""

    name: str
    folder: str
    roles: tuple[str, ...]
    lock: Lock

    @property
    def prefix(self) -> str:
        """What stands before the names of its files."""
        return f"{self.folder}/" if self.folder else ""

    @property
    def pip_only(self) -> bool:
        """Whether it holds a build that no package index has, such as 2.13.0+cpu."""
        return any("+" in version for version in self.lock.packages.values())


@dataclass(frozen=True)
class Choice:
    """A cell that was judged `match`, with all that a user needs to have it again.

    `result` speaks about `cell` itself, changes included. `exporter` is None for an .onnx file, and for a converter
    that takes the torch module itself; where it is the same lock as `converter`, everything runs in one environment.
    `reference` is needed where the file was altered or came as .onnx. `root` is the folder that the model's paths are
    relative to, `run` the run in which it was measured, on `host` (system and C library in words); `tflite` says that
    TensorFlow Lite was asked for and measured. `code` is the folder converter/, with the passes of the family.
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
            raise UsageError(f"{self.cell.id} is no match but {self.result.finding.verdict}: nothing to hand over")
        if (self.exporter is not None) != self.cell.exporter.writes:
            raise ValueError(
                f"{self.cell.id}: an exporter's lock goes with a model that is exported, and with nothing else"
            )
        if self.needs_reference and self.reference is None:
            raise ValueError(f"{self.cell.id}: the lock of the reference environment is missing")

    @property
    def needs_reference(self) -> bool:
        """An alteration, or the look into an .onnx file, is made where it was measured."""
        return bool(self.cell.alterations) or self.cell.exporter.via == FILE

    @property
    def family(self) -> Family:
        """The converter's."""
        return family_of(self.cell.converter)

    @cached_property
    def parts(self) -> tuple[PackagePart, ...]:
        """The environments; roles of one lock share one of them."""
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
        # Named for its last role: where roles share one, the converter's is what the user came for.
        return tuple(PackagePart(roles[-1], roles[-1], tuple(roles), lock) for lock, roles in shared.values())

    @property
    def native(self) -> PackagePart:
        """The environment that the converter is in."""
        return next(part for part in self.parts if "converter" in part.roles)
