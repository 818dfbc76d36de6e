"""Check an installation against its lock, and classify one that failed. The same for every engine."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.version import Version

from matrix.core.files import is_full
from matrix.core.text import redact
from matrix.environments.engine import BuildFailed
from matrix.judging.known_failures import match
from matrix.judging.outcome import UNRECOGNISED
from matrix.judging.signature_file import ErrorText
from matrix.packages.lock import Lock


def install_failed(lock: Lock, text: str) -> BuildFailed:
    """Return the error for a failed installation, from the installer's output."""
    known = match(lock.role, "build", ErrorText(message=text))
    if known is None:
        # An unknown failure may be this machine's: it is retried, and never a finding about the row.
        return BuildFailed("infra", UNRECOGNISED, text)
    if known.verdict == "error" or known.verdict == "unsatisfiable":
        return BuildFailed("error", known.id, text)
    return BuildFailed("unavailable" if known.verdict == "unavailable" else "infra", known.id, text)


def machine_fault(lock: Lock, error: OSError) -> BuildFailed:
    """Return the error for a fault of this machine, such as a full disk."""
    reason = "disk-full" if is_full(error) else "driver-fault"
    return BuildFailed("infra", reason, f"{lock.name}: {redact(str(error))}")


def check_installed(lock: Lock, installed: Mapping[str, str]) -> None:
    """Raise BuildFailed (infra) if the installed versions, read back after the build, differ from the lock."""
    if wrong := differences(lock, installed):
        text = f"{lock.name}: installed versions differ from the lock: " + "; ".join(wrong)
        raise BuildFailed("infra", "installed-differs-from-lock", text)


def differences(lock: Lock, installed: Mapping[str, str]) -> list[str]:
    """Return one sentence for each package whose installed version is not the locked one."""
    found = []
    for name in sorted(lock.packages.keys() | installed.keys()):
        locked, there = lock.packages.get(name), installed.get(name)
        if locked is None:
            found.append(f"{name} {there} is installed but not in the lock")
        elif there is None:
            found.append(f"{name} {locked} is in the lock but not installed")
        elif Version(locked) != Version(there):
            found.append(f"{name}: locked {locked}, installed {there}")
    return found
