"""Constraints of a user: version ranges of Python and of packages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from matrix.core.errors import UsageError
from matrix.families import Family
from matrix.packages.lock import Lock
from matrix.table.model import Role

# The packages that exporter rows pin.
EXPORTERS = ("torch",)

_BARE = re.compile(r"\d+(\.\d+)*")


@dataclass(frozen=True)
class Constraint:
    """A range for `name`, a package or python."""

    name: str
    versions: SpecifierSet

    def __str__(self) -> str:
        return f"{self.name} {self.versions}"

    def holds(self, locks: Mapping[Role, Lock], replaced: Mapping[str, str], family: Family) -> bool:
        """Whether a toolchain with these locks is within the range: installed somewhere, and nowhere outside of it.
        `replaced` maps packages to the distribution installed in their place; `family` is the converter's."""
        found = [version for role, lock in locks.items() if (version := self._version(role, lock, replaced, family))]
        return bool(found) and all(self.versions.contains(version, prereleases=True) for version in found)

    def _version(self, role: Role, lock: Lock, replaced: Mapping[str, str], family: Family) -> str | None:
        if self.name == "python":
            return lock.python
        if self.decides(role, family):
            return lock.packages.get(self.name) or lock.packages.get(replaced.get(self.name, ""))
        return None

    def decides(self, role: Role, family: Family) -> bool:
        """Whether the constraint applies to the environment of this role, with a converter of this family. Both
        environments may have onnx, but only the converter's reads the file. A package that rows do not pin, or Python,
        is constrained in both."""
        if self.name in (*family.packages, family.reads):
            return role == "converter"
        return self.name not in EXPORTERS or role == ("converter" if family.source == "torch" else "exporter")


def read_constraint(name: str, text: str) -> Constraint:
    """Parse the text of an option: a range, or a version, of which up to two numbers mean any release that begins with
    them. Raises UsageError."""
    spec = text.strip()
    if _BARE.fullmatch(spec):
        spec = f"=={spec}" if spec.count(".") >= 2 else f"=={spec}.*"
    try:
        return Constraint(name, SpecifierSet(spec))
    except InvalidSpecifier as error:
        raise UsageError(
            f"--{name} {text!r} is not a version range; write '>=2.8,<2.11', '==2.10.*' or 2.10"
        ) from error
