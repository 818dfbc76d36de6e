"""The committed lock of one environment: a requirements file with hashes under a header of facts.

The body is what `uv pip install --no-deps --require-hashes -r` (or pip) takes; the header lines start with `#:`
and are YAML together. A row without a solution has a lock too: the resolver's explanation, as a finding.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import yaml
from packaging.utils import canonicalize_name

from matrix.config.model import Role
from matrix.errors import ConfigError

SCHEMA = 1
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s\\;]+)", re.MULTILINE)


@dataclass(frozen=True)
class Lock:
    """What the resolver chose for one environment.

    `newest_pin` is the newest upload date among the pins where `as_of` was derived from it. `find_links` False:
    the user's own wheels must stay out, another build of the row is made of them.
    """

    name: str
    role: Role
    request: str
    python: str
    as_of: dt.date
    newest_pin: dt.date | None
    resolver: str
    outcome: Literal["resolved", "unsatisfiable"]
    body: str
    explanation: str = ""
    find_links: bool = True

    @cached_property
    def packages(self) -> dict[str, str]:
        """Normalised name to exact version."""
        return {canonicalize_name(name): version for name, version in _PIN.findall(self.body)}

    @cached_property
    def digest(self) -> str:
        """Identity of what gets installed: role, Python and every package with its hashes."""
        parts = "\n".join([self.role, self.python, self.outcome, self.body or self.explanation])
        return hashlib.sha256(parts.encode()).hexdigest()

    def text(self) -> str:
        """The file's content."""
        head = {
            "schema": SCHEMA,
            "environment": self.name,
            "role": self.role,
            "python": self.python,
            "as_of": self.as_of.isoformat(),
            "newest_pin": self.newest_pin.isoformat() if self.newest_pin else None,
            "outcome": self.outcome,
            "find_links": str(self.find_links).lower(),
            "resolver": self.resolver,
            "request": self.request,
        }
        lines = ["# Written by `python -m matrix lock`; linux x86-64. Install: uv pip install --no-deps -r FILE"]
        lines += [f"#: {line}" for line in yaml.safe_dump(head, sort_keys=False).splitlines()]
        if self.explanation:
            lines += ["#", *(f"# {line}".rstrip() for line in self.explanation.splitlines())]
        return "\n".join(lines) + "\n" + self.body


def parse_lock(text: str, path: Path) -> Lock:
    """Read a lock. Raises ConfigError naming the file where it was damaged or is of another schema."""
    lines = text.splitlines()
    head_lines = [line[3:] for line in lines if line.startswith("#: ")]
    try:
        head = yaml.load("\n".join(head_lines), Loader=yaml.BaseLoader)
        if head["schema"] != str(SCHEMA):
            raise ConfigError(f"{path}:1: lock schema {head['schema']}, this version reads {SCHEMA}; lock it again")
        body_start = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
        comments = [line[2:] for line in lines[1:body_start] if not line.startswith("#:")]
        body = "\n".join(lines[body_start:])
        return Lock(
            name=head["environment"],
            role=head["role"],
            request=head["request"],
            python=head["python"],
            as_of=dt.date.fromisoformat(head["as_of"]),
            newest_pin=dt.date.fromisoformat(head["newest_pin"]) if head["newest_pin"] != "null" else None,
            resolver=head["resolver"],
            outcome=head["outcome"],
            body=body + "\n" if body else "",
            explanation="\n".join(comments).strip("\n"),
            find_links=head["find_links"] == "true",
        )
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{path}:1: not a readable lock ({type(error).__name__}: {error}); make it again: python -m matrix lock"
        ) from error


def read_locks(folder: Path) -> dict[str, Lock]:
    """All locks of a folder by environment name; an absent folder holds none."""
    locks = {}
    for path in sorted(folder.glob("*.lock")):
        lock = parse_lock(path.read_text(encoding="utf-8"), path)
        if path.stem != lock.name:
            raise ConfigError(f"{path}:1: holds the lock of {lock.name!r}; rename the file or lock it again")
        locks[lock.name] = lock
    return locks
