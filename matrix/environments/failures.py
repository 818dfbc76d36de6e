"""What a failed installation means: a finding about the row, or this machine's trouble. The same for every engine."""

from __future__ import annotations

from collections.abc import Mapping

from matrix.core.files import is_full
from matrix.core.text import redact
from matrix.environments.engine import BuildFailed
from matrix.environments.stamp import differences
from matrix.judging.outcome import UNRECOGNISED
from matrix.judging.recognise import match
from matrix.judging.signatures import ErrorText
from matrix.packages.lock import Lock


def install_failed(lock: Lock, text: str) -> BuildFailed:
    """From what the installer printed."""
    known = match(lock.role, "build", ErrorText(message=text))
    if known is None:
        # What nobody has described may be this machine's trouble: tried again, never held against the row.
        return BuildFailed("infra", UNRECOGNISED, text)
    if known.verdict == "error" or known.verdict == "unsatisfiable":
        return BuildFailed("error", known.id, text)
    return BuildFailed("unavailable" if known.verdict == "unavailable" else "infra", known.id, text)


def machine_fault(lock: Lock, error: OSError) -> BuildFailed:
    """What the machine itself refused: room, or something that should be there and is not."""
    reason = "disk-full" if is_full(error) else "driver-fault"
    return BuildFailed("infra", reason, f"{lock.name}: {redact(str(error))}")


def check_installed(lock: Lock, installed: Mapping[str, str]) -> None:
    """Raises BuildFailed (infra) where what was read back is not what the lock says."""
    if wrong := differences(lock, installed):
        text = f"{lock.name}: installed versions differ from the lock: " + "; ".join(wrong)
        raise BuildFailed("infra", "installed-differs-from-lock", text)
