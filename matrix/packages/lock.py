"""The committed lock of one environment: a requirements file with hashes under a header of facts.

The body is input of `uv pip install --no-deps --require-hashes -r` (or pip); the header lines start with `#:` and
together are YAML. A row without a solution has a lock too: the resolver's explanation, as a finding.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from packaging.utils import canonicalize_name

from matrix.core.errors import ConfigError
from matrix.table.model import Role

SCHEMA = 1
_FIRST = "# Written by `python -m matrix lock`"
_PIN_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==[^\s\\;]+( \\)?")
_HASH_LINE = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s\\;]+)", re.MULTILINE)

# Sets of distributions of which a lock may hold only one each.
Groups = Collection[frozenset[str]]


@dataclass(frozen=True)
class Lock:
    """The packages that the resolver chose for one environment.

    `newest_pin` is the newest upload date among the pins, where `as_of` was derived from it. `find_links` False: the
    user's own wheels are excluded, because another build of the row uses them.
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
        """Normalised names and exact versions."""
        return {canonicalize_name(name): version for name, version in _PIN.findall(self.body)}

    @cached_property
    def requirements(self) -> dict[str, str]:
        """Normalised names and their lines of the body: the pin with its hashes."""
        starts = [*_PIN.finditer(self.body)]
        ends = [found.start() for found in starts[1:]] + [len(self.body)] * bool(starts)
        return {
            canonicalize_name(found[1]): self.body[found.start() : end] for found, end in zip(starts, ends, strict=True)
        }

    @cached_property
    def digest(self) -> str:
        """The identity of an installation: a hash of role, Python and every package with its hashes."""
        parts = "\n".join([self.role, self.python, self.outcome, self.body or self.explanation])
        return hashlib.sha256(parts.encode()).hexdigest()

    def document(self) -> dict[str, Any]:
        """Return the lock as JSON-ready data; `from_document` is the inverse."""
        days = {"as_of": self.as_of.isoformat(), "newest_pin": self.newest_pin.isoformat() if self.newest_pin else None}
        return {"schema": SCHEMA, **{item.name: getattr(self, item.name) for item in fields(self)}, **days}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Lock:
        """Read the result of `document`. Raises KeyError, TypeError or ValueError for anything else."""
        if document["schema"] != SCHEMA:
            raise ValueError(f"a lock of schema {document['schema']!r}; this version reads {SCHEMA}")
        newest = document["newest_pin"]
        days = {
            "as_of": dt.date.fromisoformat(document["as_of"]),
            "newest_pin": dt.date.fromisoformat(newest) if newest else None,
        }
        return cls(**{name: value for name, value in document.items() if name != "schema"} | days)

    def text(self) -> str:
        """Return the content of the file."""
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
        lines = [f"{_FIRST}; linux x86-64. Install: uv pip install --no-deps -r FILE"]
        lines += [f"#: {line}" for line in yaml.safe_dump(head, sort_keys=False).splitlines()]
        if self.explanation:
            lines += ["#", *(f"# {line}".rstrip() for line in self.explanation.splitlines())]
        return "\n".join(lines) + "\n" + self.body


def parse_lock(text: str, path: Path, exclusive: Groups = ()) -> Lock:
    """Read a lock. Raises ConfigError, with file and line, where it is damaged, has another schema, or holds more than
    one of an `exclusive` group of distributions.

    A lock is installed without another resolution, so anything unexpected (merge conflict markers, half a pin) is
    rejected here.
    """
    lines = text.splitlines()
    if not lines or not lines[0].startswith(_FIRST):
        raise _damaged(path, 1, f"does not begin with {_FIRST!r}")
    head_end = _first_without("#:", lines, 1)
    body_start = _first_without("#", lines, head_end)
    comments = lines[head_end:body_start]
    if late := [i for i, line in enumerate(comments, head_end + 1) if line.startswith("#:")]:
        raise _damaged(path, late[0], "a header line after the end of the header")
    _check_body(lines[body_start:], body_start + 1, path, exclusive)
    body = "".join(f"{line}\n" for line in lines[body_start:])
    try:
        head = yaml.load(
            "\n".join(line[3:] for line in lines[1:head_end]), Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        )
        if head["schema"] != str(SCHEMA):
            raise ConfigError(
                f"{path}:1: lock schema {head['schema']}, this version reads {SCHEMA}; run: python -m matrix lock"
            )
        if head["role"] not in get_args(Role) or head["outcome"] != ("resolved" if body else "unsatisfiable"):
            raise ValueError(f"role {head['role']}, outcome {head['outcome']}")
        return Lock(
            name=head["environment"],
            role=head["role"],
            request=head["request"],
            python=head["python"],
            as_of=dt.date.fromisoformat(head["as_of"]),
            newest_pin=dt.date.fromisoformat(head["newest_pin"]) if head["newest_pin"] != "null" else None,
            resolver=head["resolver"],
            outcome=head["outcome"],
            body=body,
            explanation="\n".join(line[2:] for line in comments).strip("\n"),
            find_links=head["find_links"] == "true",
        )
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise _damaged(path, 1, f"{type(error).__name__}: {error}") from error


def _first_without(mark: str, lines: list[str], start: int) -> int:
    """Return the index of the first line from `start` on that does not begin with `mark`."""
    return next((i for i in range(start, len(lines)) if not lines[i].startswith(mark)), len(lines))


def _check_body(lines: list[str], first: int, path: Path, exclusive: Groups) -> None:
    """Raise ConfigError for the first line that is neither blank nor an expected pin or hash, and for a second pin of
    an exclusive group."""
    packages: set[str] = set()
    continued = False
    for number, line in enumerate(lines, first):
        pin = _PIN_LINE.fullmatch(line)
        if not (_HASH_LINE.fullmatch(line) if continued else pin or not line.strip()):
            raise _damaged(path, number, f"not a {'hash' if continued else 'pin'}: {line[:100]!r}")
        if pin:
            packages.add(canonicalize_name(pin[1]))
        for group in exclusive:
            if len(both := sorted(group & packages)) > 1:
                raise _damaged(path, number, f"holds both {' and '.join(both)}")
        continued = line.endswith("\\")
    if continued:
        raise _damaged(path, first + len(lines) - 1, "cut off")


def _damaged(path: Path, line: int, what: str) -> ConfigError:
    return ConfigError(f"{path}:{line}: not a readable lock ({what}); run: python -m matrix lock")


def read_locks(folder: Path, damaged: dict[str, str] | None = None, exclusive: Groups = ()) -> dict[str, Lock]:
    """Return all locks of a folder by environment name; a missing folder holds none.

    Raises ConfigError for a damaged lock; where `damaged` is given, its name and the message go there instead.
    """
    locks = {}
    for path in sorted(folder.glob("*.lock")):
        try:
            locks[path.stem] = _read_lock(path, exclusive)
        except ConfigError as error:
            if damaged is None:
                raise
            damaged[path.stem] = str(error)
    return locks


def _read_lock(path: Path, exclusive: Groups) -> Lock:
    try:
        lock = parse_lock(path.read_text(encoding="utf-8"), path, exclusive)
    except UnicodeDecodeError as error:
        raise _damaged(path, 1, "not UTF-8 text") from error
    if path.stem != lock.name:
        raise ConfigError(f"{path}:1: holds the lock of {lock.name!r}; rename the file, or run: python -m matrix lock")
    return lock
