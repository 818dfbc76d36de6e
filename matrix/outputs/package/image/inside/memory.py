"""Whether the kernel ended a process of this container for want of memory, read from its control group."""

from __future__ import annotations

from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")
_UNLIMITED_MB = 2**40


def killed(group: Path = _GROUP) -> int:
    """How many processes were ended so far; 0 where the kernel does not say. cgroup v2, then v1."""
    for name in ("memory.events", "memory/memory.oom_control"):
        for line in _text(group / name).splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill" and value.strip().isdigit():
                return int(value)
    return 0


def limit_mb(group: Path = _GROUP) -> int:
    """The container's limit in MiB, 0 for none."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _text(group / name).strip()
        if text.isdigit():
            megabytes = int(text) // 2**20
            return megabytes if megabytes < _UNLIMITED_MB else 0
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
