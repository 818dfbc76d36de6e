"""Derive the request to the resolver for one environment from a row and the rules of the table. Pure."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from packaging.specifiers import SpecifierSet

from matrix.core.errors import ConfigError
from matrix.table.check import applies
from matrix.table.ids import environment_name
from matrix.table.model import Config, ConverterRow, ExporterRow, ReferenceRow, Role, Row


class ImpossiblePin(ConfigError):
    """A row pins a version that was never released. `row` and `package` locate the pin in the table."""

    def __init__(self, row: str, package: str, version: str) -> None:
        super().__init__(f"{row}: impossible pin: the index has {package}, but no version {version}")
        self.row = row
        self.package = package


@dataclass(frozen=True)
class Request:
    """Everything that determines a lock, and nothing else.

    `requirements` are sorted `name<specifier>` texts; `constraints` likewise, but apply only where something depends on
    the package. `pinned` are the requirements of exactly one version, companions included: their upload dates give the
    default `as_of`. Where `python` or `as_of` is None, `lock` chooses and records it. `find_links` False excludes the
    user's own wheels, where a row has a separate build for them.
    """

    name: str
    role: Role
    pinned: tuple[tuple[str, str], ...]
    requirements: tuple[str, ...]
    python: str | None
    as_of: dt.date | None
    pythons: tuple[str, ...]
    margin_days: int
    replace: tuple[tuple[str, str], ...]
    wheels_only: tuple[str, ...]
    find_links: bool
    constraints: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """A hash of all that determines the lock; a lock with another digest is stale."""
        parts: dict[str, Any] = {
            "role": self.role,
            "requirements": self.requirements,
            "python": self.python or self.pythons,
            "as_of": self.as_of.isoformat() if self.as_of else self.margin_days,
            "replace": self.replace,
            "wheels_only": self.wheels_only,
            "find_links": self.find_links,
        }
        if self.constraints:
            parts["constraints"] = self.constraints
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def role_of(row: Row) -> Role:
    """Return the role of a row's environment."""
    match row:
        case ExporterRow():
            return "exporter"
        case ConverterRow():
            return "converter"
        case ReferenceRow():
            return "reference"
    raise TypeError(row)


def make_request(config: Config, row: Row, build: str | None = None) -> Request:
    """Return the request of a row, or of one of an exporter's `builds`.

    Raises ConfigError where a pin contradicts a companion rule.
    """
    pins = dict(row.pins)
    name = row.id
    if build is not None:
        assert isinstance(row, ExporterRow)
        pins |= row.builds[build]
        name = environment_name(row.id, row.builds, build)
    wanted: dict[str, SpecifierSet] = {package: SpecifierSet(spec) for package, spec in row.add.items()}
    for rule in config.companions if row.companions else ():
        if applies(rule.when, row.pins):
            for package, spec in rule.add.items():
                if package not in pins:
                    wanted[package] = wanted.get(package, SpecifierSet()) & SpecifierSet(spec)
                elif not SpecifierSet(spec).contains(pins[package], prereleases=True):
                    raise ConfigError(
                        f"{name}: impossible pin: {package}=={pins[package]}; a companion rule requires {spec}"
                    )
    requirements = {package: f"=={version}" for package, version in pins.items()}
    requirements |= {package: str(spec) for package, spec in wanted.items()}
    resolver = config.resolver
    return Request(
        name=name,
        role=role_of(row),
        pinned=tuple(sorted(row.pins.items() | _exact(wanted).items())),
        requirements=tuple(sorted(f"{package}{spec}" for package, spec in requirements.items())),
        python=row.python,
        as_of=row.as_of,
        pythons=resolver.pythons,
        margin_days=resolver.margin_days,
        replace=tuple(sorted((k, v) for k, v in resolver.replace.items() if k in row.pins)),
        wheels_only=tuple(sorted(resolver.wheels_only)),
        find_links=not (isinstance(row, ExporterRow) and row.builds and build is None),
        constraints=tuple(sorted(f"{package}{spec}" for package, spec in row.within.items() if spec)),
    )


def _exact(wanted: dict[str, SpecifierSet]) -> dict[str, str]:
    """Return the companions that are pinned to one version."""
    found = {}
    for package, specifiers in wanted.items():
        for specifier in specifiers:
            if specifier.operator == "==" and not specifier.version.endswith("*"):
                found[package] = specifier.version
    return found


def all_requests(config: Config) -> list[Request]:
    """Return a request for each environment of the table: rows in order, each exporter followed by its builds.

    Raises ConfigError where a pin contradicts a companion rule.
    """
    requests = []
    for exporter in config.exporters:
        requests.append(make_request(config, exporter))
        requests += [make_request(config, exporter, build) for build in exporter.builds]
    requests.append(make_request(config, config.reference))
    requests += [make_request(config, converter) for converter in config.converters]
    return requests
