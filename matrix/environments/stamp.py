"""The stamp that makes an environment valid: written last, when what is installed equals the lock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from matrix.core import files as durable
from matrix.packages.lock import Lock

_FILE = "matrix-stamp.json"
SCHEMA = 1


def read_stamp(folder: Path) -> dict[str, Any] | None:
    """The stamp, or None where there is none or it cannot be read: then the environment is not whole."""
    try:
        stamp = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and stamp.get("schema") == SCHEMA else None


def write_stamp(folder: Path, facts: Mapping[str, Any]) -> None:
    durable.write_bytes(folder / _FILE, json.dumps({"schema": SCHEMA, **facts}, indent=1).encode())


def installed_in(site_packages: Path) -> dict[str, str]:
    """Normalised name to version of every distribution really there."""
    return {
        canonicalize_name(name): found.version
        for found in distributions(path=[str(site_packages)])
        if (name := found.metadata["Name"])
    }


def differences(lock: Lock, installed: Mapping[str, str]) -> list[str]:
    """One sentence for each package whose installed version is not the locked one."""
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
