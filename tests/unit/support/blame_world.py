"""A synthetic world of releases, and the loop that answers a search from it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from matrix.answers.blame.search import find_blame
from matrix.answers.blame.types import Measure, Measured, Ranges, Recipe, Resolved
from matrix.judging.finding import Finding

DAY0 = dt.date(2022, 1, 1)
GOOD = Measured(Finding("match"))


def day(number: int) -> dt.date:
    return DAY0 + dt.timedelta(days=number)


def failing(reason: str, *hints: Ranges, verdict: Any = "error") -> Measured:
    return Measured(Finding(verdict, "converter", "import", reason), hints=hints)


@dataclass(frozen=True)
class Release:
    version: str
    since: int
    requires: Mapping[str, str] = field(default_factory=dict)
    yanked: bool = False


Oracle = Callable[[Mapping[str, str]], Measured]


class World:
    """Releases by day, resolved like uv does: the newest first, back where that leads nowhere."""

    def __init__(self, roots: Mapping[str, str] | None = None) -> None:
        self.roots = roots
        self.releases: dict[str, list[Release]] = {}
        self.oracle: Oracle = lambda packages: GOOD

    def release(
        self,
        package: str,
        version: str,
        since: int = 0,
        requires: Mapping[str, str] | None = None,
        yanked: bool = False,
    ) -> None:
        self.releases.setdefault(package, []).append(Release(version, since, requires or {}, yanked))
        self.releases[package].sort(key=lambda release: Version(release.version), reverse=True)

    def resolve(self, recipe: Recipe) -> Resolved:
        number = (recipe.as_of - DAY0).days
        roots = dict.fromkeys(self.releases, "") if self.roots is None else self.roots
        wanted: dict[str, list[str]] = {package: [spec] for package, spec in roots.items()}
        packages = self._complete({}, wanted, dict(recipe.ranges), number)
        if packages is None:
            # A resolver's words may differ by the day.
            return Resolved(recipe, f"none-{number}", {}, f"as of {recipe.as_of} nothing fulfils it")
        return Resolved(recipe, digest(packages), packages)

    def _complete(
        self, chosen: dict[str, str], wanted: dict[str, list[str]], ranges: dict[str, str], number: int
    ) -> dict[str, str] | None:
        package = next((name for name in wanted if name not in chosen), None)
        if package is None:
            return chosen
        fits = SpecifierSet(",".join(filter(None, [*wanted[package], ranges.get(package, "")])))
        for release in self.releases.get(package, []):
            if release.since > number or release.yanked or not fits.contains(release.version, prereleases=True):
                continue
            if any(
                name in chosen and not SpecifierSet(spec).contains(chosen[name], prereleases=True)
                for name, spec in release.requires.items()
            ):
                continue
            more = {name: list(specs) for name, specs in wanted.items()}
            for name, spec in release.requires.items():
                more.setdefault(name, []).append(spec)
            done = self._complete({**chosen, package: release.version}, more, ranges, number)
            if done is not None:
                return done
        return None


def digest(packages: Mapping[str, str]) -> str:
    return sha256(repr(sorted(packages.items())).encode()).hexdigest()


class Driver:
    """Answers a search and keeps what was measured; nothing may be measured twice, or without a solution."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.measured: list[Resolved] = []
        self.batches: list[int] = []

    def __call__(self, search: Generator[Any, Any, Any]) -> Any:
        try:
            ask = next(search)
            while True:
                ask = search.send(self._answer(ask))
        except StopIteration as stop:
            return stop.value

    def _answer(self, ask: Any) -> Any:
        if not isinstance(ask, Measure):
            self.batches.append(len(ask.recipes))
            return tuple(self.world.resolve(recipe) for recipe in ask.recipes)
        assert ask.environment.solved
        assert ask.environment.digest not in {one.digest for one in self.measured}
        self.measured.append(ask.environment)
        return self.world.oracle(ask.environment.packages)

    def find_blame(self, first: int, last: int, limit: int = 60) -> Any:
        blame = self(find_blame(day(first), day(last), limit))
        assert blame.tests == len(self.measured) <= limit
        return blame


def rules(*faults: tuple[str, Mapping[str, str]]) -> Oracle:
    """Bad with the reason of the first fault all of whose ranges the packages are within."""

    def oracle(packages: Mapping[str, str]) -> Measured:
        for reason, where in faults:
            if all(
                name in packages and SpecifierSet(spec).contains(packages[name], prereleases=True)
                for name, spec in where.items()
            ):
                return failing(reason)
        return GOOD

    return oracle
