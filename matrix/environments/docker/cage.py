"""Restrictions of a job's container: it may do only what a conversion needs. Pure."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from docker.types import LogConfig, Mount, Ulimit

from matrix.environments.docker.client import Facts
from matrix.table.model import Limits

INBOX = "/matrix/inbox"
OUTBOX = "/matrix/outbox"
CONVERTER = "/matrix/converter"
WRAPPER = "/matrix/job.sh"

# nobody, in every Debian
_NOBODY = "65534:65534"

_TMP = "rw,noexec,nosuid,nodev,size=1g,mode=1777"
_FEWEST_PIDS, _PIDS_A_CORE, _MOST_PIDS = 512, 32, 4096
_MOST_CPUS = 8
_FILE_BYTES = 8 * 2**30
_OPEN_FILES = 4096


def job_user(facts: Facts) -> str:
    """Return a job's user, never root: the driver's user, or nobody where that is root or the engine maps users."""
    user = os.getuid()
    return _NOBODY if user == 0 or facts.rootless else f"{user}:{os.getgid()}"


def _ulimits(facts: Facts) -> dict[str, int]:
    limits = {"core": 0, "fsize": _FILE_BYTES, "nofile": _OPEN_FILES}
    if facts.podman:
        # Podman's default of millions is refused where its own limit is lower. Processes are limited by `pids_limit`:
        # this limit is for all containers of the user together.
        limits["nproc"] = 8 * _pids(facts)
    return limits


def _pids(facts: Facts) -> int:
    """Return the limit on processes: it stops a fork bomb, but not a framework's thread pools, a few for each core."""
    return min(_MOST_PIDS, max(_FEWEST_PIDS, _PIDS_A_CORE * facts.cpus))


def restrictions(
    facts: Facts, limits: Limits, inbox: Path, outbox: Path, converter: Path, wrapper: Path
) -> dict[str, Any]:
    """Return keyword arguments for docker-py's `create_host_config`."""
    memory = f"{limits.memory_mb}m"
    return {
        "network_mode": "none",
        "read_only": True,
        "tmpfs": {"/tmp": _TMP},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "init": True,
        "mem_limit": memory,
        # Equal to the memory limit, so no swap: with swap, the limit would only make the machine slow.
        "memswap_limit": memory,
        "pids_limit": _pids(facts),
        # A conversion cannot use more, and others run beside it.
        "nano_cpus": min(facts.cpus, _MOST_CPUS) * 10**9 if facts.limits_cpus else None,
        "ulimits": [Ulimit(name=name, soft=limit, hard=limit) for name, limit in _ulimits(facts).items()],
        "log_config": LogConfig(type="json-file", config={"max-size": "1m"}),
        "mounts": [
            Mount(INBOX, str(inbox), type="bind", read_only=True),
            Mount(OUTBOX, str(outbox), type="bind"),
            Mount(CONVERTER, str(converter), type="bind", read_only=True),
            Mount(WRAPPER, str(wrapper), type="bind", read_only=True),
        ],
    }
