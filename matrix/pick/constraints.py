"""What a user is fixed on: version ranges of Python and of packages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from matrix.config.model import Role
from matrix.errors import UsageError
from matrix.locks.lockfile import Lock

# Where a package decides: both environments have an onnx, but only the converter's reads the file. What is not named
# here, Python too, is meant wherever it is installed.
_ROLE: dict[str, Role] = {"torch": "exporter", "onnx": "converter", "onnx-tf": "converter", "tensorflow": "converter"}

_BARE = re.compile(r"\d+(\.\d+)*")


@dataclass(frozen=True)
class Constraint:
    """A range for `name`, a package or python."""

    name: str
    versions: SpecifierSet

    def __str__(self) -> str:
        return f"{self.name} {self.versions}"

    def holds(self, locks: Mapping[Role, Lock], replaced: Mapping[str, str]) -> bool:
        """Whether a toolchain with these locks is within the range: somewhere there, and nowhere outside of it.
        `replaced` names what is installed in a package's place."""
        found = [version for role, lock in locks.items() if (version := self._version(role, lock, replaced))]
        return bool(found) and all(self.versions.contains(version, prereleases=True) for version in found)

    def _version(self, role: Role, lock: Lock, replaced: Mapping[str, str]) -> str | None:
        if self.name == "python":
            return lock.python
        if self.decides(role):
            return lock.packages.get(self.name) or lock.packages.get(replaced.get(self.name, ""))
        return None

    def decides(self, role: Role) -> bool:
        """Whether it is about the environment of this role."""
        return _ROLE.get(self.name, role) == role


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


def all_hold(constraints: tuple[Constraint, ...], locks: Mapping[Role, Lock], replaced: Mapping[str, str]) -> bool:
    return all(constraint.holds(locks, replaced) for constraint in constraints)
