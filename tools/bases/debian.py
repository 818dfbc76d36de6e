"""Make a minimal Debian root of this machine's release, as a tar file.

It has to be the same release, because an interpreter built on this machine needs a C library that is not older.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from matrix.core.errors import EngineUnavailable, Indeterminate
from matrix.core.text import redact
from tools.bases.archive import EPOCH

# The packages of the official slim images beyond the essential ones.
_ALWAYS = frozenset({"ca-certificates", "netbase", "tzdata"})
_ELSEWHERE = (
    "pull python:X.Y-slim on a machine that reaches a registry, carry it over with docker save and docker load, "
    "and use it with --base 'python:{python}-slim'"
)
_WHAT_IT_NEEDS = "it needs root, or user namespaces: the package uidmap, and entries in /etc/subuid and /etc/subgid"


def codename() -> str:
    """Return the name of this machine's Debian release. Raises EngineUnavailable on other systems."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    if system.get("ID") != "debian" or "VERSION_CODENAME" not in system:
        name = system.get("PRETTY_NAME", platform.system())
        raise EngineUnavailable(f"bases can only be made on Debian, and this is {name}; {_ELSEWHERE}")
    return system["VERSION_CODENAME"]


def packages(needed: Iterable[str]) -> frozenset[str]:
    """Return the packages of a root for interpreters that load libraries from the packages `needed`."""
    return _ALWAYS | frozenset(needed)


def make(codename: str, packages: frozenset[str], scratch: Path) -> Path:
    """Make the root in `scratch` (about 30 s, 150 MB) and return its path.

    Raises EngineUnavailable where mmdebstrap or a Debian mirror is missing, Indeterminate where mmdebstrap fails.
    """
    if shutil.which("mmdebstrap") is None:
        raise EngineUnavailable(
            "mmdebstrap, which makes the Debian root of a base, is missing; install it: apt-get install mmdebstrap "
            f"({_WHAT_IT_NEEDS})"
        )
    sources = _sources(codename)
    # apt and user namespaces work as an unprivileged user, who must be able to reach the folder.
    scratch.chmod(0o755)
    target = scratch / "root.tar"
    command = [
        "mmdebstrap",
        "--variant=minbase",
        "--format=tar",
        f"--include={','.join(sorted(packages))}",
        # The engine provides device nodes, and a rootless one cannot create them.
        "--skip=output/dev",
        '--aptopt=Acquire::Languages "none"',
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        # These name this machine and its network; a container gets its own from the engine.
        '--customize-hook=truncate --size=0 "$1/etc/hostname" "$1/etc/resolv.conf"',
        # A mirror's password must not be in the image.
        """--customize-hook=sed -E -i 's#//[^/@ ]+@#//#' "$1/etc/apt/sources.list\"""",
        codename,
        "-",
        *sources,
    ]
    env = {**os.environ, **_proxy(), "SOURCE_DATE_EPOCH": str(EPOCH), "TMPDIR": str(scratch), "LC_ALL": "C.UTF-8"}
    with target.open("wb") as out:
        done = subprocess.run(command, env=env, stdout=out, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        said = redact(done.stderr.decode(errors="replace")).strip().splitlines()
        errors = [line for line in said if line.startswith("E:")] or said
        raise Indeterminate(
            f"mmdebstrap could not make Debian {codename}: {' '.join(errors[-3:])}; {_WHAT_IT_NEEDS}, "
            "and the mirrors that /etc/apt names"
        )
    return target


def _sources(codename: str) -> tuple[str, ...]:
    """Return the apt sources of this release that this machine is configured for. Raises EngineUnavailable."""
    form = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    command = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    suites: dict[tuple[str, str], list[str]] = {}
    for line in done.stdout.splitlines():
        origin, name, address, suite, component = line.split("|")
        if origin == "Debian" and re.fullmatch(rf"{codename}(-updates|-security)?", name):
            components = suites.setdefault((address, suite), [])
            if component not in components:
                components.append(component)
    if not suites:
        raise EngineUnavailable(
            f"apt on this machine has no packages of Debian {codename}; configure a mirror in /etc/apt and run: "
            "apt-get update"
        )
    return tuple(f"deb {address} {suite} {' '.join(parts)}" for (address, suite), parts in suites.items())


def _proxy() -> dict[str, str]:
    """Return apt's configured proxies as environment variables."""
    found = {}
    for kind in ("http", "https"):
        done = subprocess.run(
            ["apt-config", "dump", "--format", "%v", f"Acquire::{kind}::Proxy"],
            capture_output=True,
            text=True,
            check=False,
        )
        # DIRECT: no proxy.
        if (address := done.stdout.strip()) and address != "DIRECT":
            found[f"{kind}_proxy"] = address
    return found
