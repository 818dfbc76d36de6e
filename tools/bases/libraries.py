"""Find the shared libraries that an interpreter loads, and the Debian packages they are from."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.bases.tree import CannotCopy, Tree

_RESOLVED = re.compile(r"=> (/\S+) \(0x")


@dataclass(frozen=True)
class Libraries:
    """`packages` are names of Debian packages; `own` are libraries in the interpreter's tree."""

    packages: frozenset[str]
    own: tuple[Path, ...]


def needed(tree: Tree) -> Libraries:
    """Return the libraries of an interpreter and its modules. Raises CannotCopy where one belongs to no package."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("LD_")}
    # ldd exits with 1 where one of the files is not a dynamic executable; its output for the others is complete.
    done = subprocess.run(["ldd", *tree.binaries()], env=env, capture_output=True, text=True, check=False)
    loaded = {Path(os.path.normpath(path)) for path in _RESOLVED.findall(done.stdout)}
    own = {path for path in loaded if path.is_relative_to(tree.prefix)}
    owners = _owners(loaded - own)
    if strays := sorted(str(path) for path in loaded - own if path not in owners):
        raise CannotCopy(
            f"Python {tree.version} at {tree.prefix} needs {', '.join(strays)}, which no Debian package of this "
            f"machine contains; build it against packaged libraries, or: uv python install {tree.python}"
        )
    return Libraries(
        frozenset(owners.values()), tuple(sorted(path for path in own if not path.name.startswith("libpython")))
    )


def _owners(paths: Iterable[Path]) -> dict[Path, str]:
    """Map files to their Debian packages. Raises CannotCopy where there is no dpkg."""
    spellings: dict[str, Path] = {}
    for path in paths:
        spellings[str(path)] = path
        # /lib is a link to /usr/lib; which of the two a package names depends on its age.
        other = path.relative_to("/usr") if path.is_relative_to("/usr") else Path("usr", *path.parts[1:])
        spellings[str(Path("/") / other)] = path
    if not spellings:
        return {}
    try:
        done = subprocess.run(["dpkg", "--search", *spellings], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CannotCopy("base images are made from Debian packages, and this machine has no dpkg") from error
    found: dict[Path, str] = {}
    for line in done.stdout.splitlines():
        packages, separator, spelling = line.partition(": ")
        if separator and spelling in spellings:
            found[spellings[spelling]] = packages.split(",")[0].split(":")[0]
    return found
