"""What a user is fixed on: version ranges of Python and of packages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from matrix.core.errors import UsageError
from matrix.families import Family
from matrix.packages.lock import Lock
from matrix.table.model import Role

# What rows of exporters pin.
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
        """Whether a toolchain with these locks is within the range: somewhere there, and nowhere outside of it.
        `replaced` names what is installed in a package's place, `family` is the converter's."""
        found = [version for role, lock in locks.items() if (version := self._version(role, lock, replaced, family))]
        return bool(found) and all(self.versions.contains(version, prereleases=True) for version in found)

    def _version(self, role: Role, lock: Lock, replaced: Mapping[str, str], family: Family) -> str | None:
        if self.name == "python":
            return lock.python
        if self.decides(role, family):
            return lock.packages.get(self.name) or lock.packages.get(replaced.get(self.name, ""))
        return None

    def decides(self, role: Role, family: Family) -> bool:
        """Whether it is about the environment of this role, beside a converter of this family. Both environments may
        have an onnx, but only the converter's reads the file. What neither is about, Python too, is meant wherever it
        is installed."""
        if self.name in (*family.packages, family.reads):
            return role == "converter"
        return self.name not in EXPORTERS or role == ("converter" if family.source == "torch" else "exporter")


def read_constraint(name: str, text: str) -> Constraint:
    """From an option's text: a range, or a version, which with two numbers means any release of it. Raises
    UsageError."""
    spec = text.strip()
    if _BARE.fullmatch(spec):
        spec = f"=={spec}" if spec.count(".") >= 2 else f"=={spec}.*"
    try:
        return Constraint(name, SpecifierSet(spec))
    except InvalidSpecifier as error:
        raise UsageError(f"--{name} {text!r} is no version range; write '>=2.8,<2.11', '==2.10.*' or 2.10") from error


def all_hold(
    constraints: tuple[Constraint, ...], locks: Mapping[Role, Lock], replaced: Mapping[str, str], family: Family
) -> bool:
    return all(constraint.holds(locks, replaced, family) for constraint in constraints)
