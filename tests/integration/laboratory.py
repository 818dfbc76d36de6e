"""Answer the questions of `blame` with real uv and real environments, on an index of synthetic releases."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix.answers.blame.types import Blame, Measure, Measured, Probe, ProbeResult, Ranges, Recipe, Resolve, Resolved
from matrix.environments.locks.request import Request
from matrix.environments.locks.resolve import resolve
from matrix.judging.finding import Finding
from matrix.packages import uv
from matrix.packages.index import IndexSettings, UploadDates
from matrix.packages.lock import Lock

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# uv spends more time waiting for the index than working.
_AT_ONCE = 4

# A row is good if its module can be imported. A fault is planted by raising its name; `untestable` stands for a machine
# that cannot tell.
_PROBE = """\
import json
try:
    import app
except Exception as error:
    print(json.dumps(str(error)))
else:
    print(json.dumps(None))
"""


def needs(*requirements: str) -> Request:
    """Return the Request of a row with these requirements."""
    exact = [requirement.split("==") for requirement in requirements if "==" in requirement]
    return Request(
        name="row",
        role="converter",
        pinned=tuple((name, version) for name, version in exact),
        requirements=tuple(sorted(requirements)),
        python=PYTHON,
        as_of=None,
        pythons=(PYTHON,),
        margin_days=0,
        replace=(),
        wheels_only=(),
        find_links=True,
    )


@dataclass
class Laboratory:
    """One row, and what was done for it. `hints` are the ranges that the remedies of a failure name. `committed` are
    locks that are not resolved again, as a row's own is not. `built` are the digests of the environments that were
    made, in order."""

    folder: Path
    index: str
    request: Request = field(default_factory=lambda: needs("app==1.0"))
    hints: Mapping[str, tuple[Ranges, ...]] = field(default_factory=dict)
    committed: dict[Recipe, Lock] = field(default_factory=dict)
    built: list[str] = field(default_factory=list)
    measured: list[Measure] = field(default_factory=list)
    resolutions: int = 0
    _locks: dict[str, Lock] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._settings = IndexSettings(index=self.index)
        self._dates = UploadDates(self._settings)

    def follow(self, search: Generator[Probe, ProbeResult, Blame]) -> Blame:
        """Answer until the search concludes."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                ask = next(search)
                while True:
                    match ask:
                        case Resolve(recipes):
                            answer: ProbeResult = tuple(pool.map(self.resolve, recipes))
                            self.resolutions += len(recipes)
                        case Measure(environment):
                            self.measured.append(ask)
                            answer = self.measure(environment)
                    ask = search.send(answer)
            except StopIteration as stop:
                found: Blame = stop.value
                return found

    def commit(self, day: dt.date) -> None:
        """Keep the lock of a day, even if the index changes later."""
        self.committed[Recipe(day)] = self._lock(Recipe(day))

    def resolve(self, recipe: Recipe) -> Resolved:
        """Resolve by the current index."""
        lock = self.committed[recipe] if recipe in self.committed else self._lock(recipe)
        # The resolver's message differs from day to day although the missing package is the same.
        digest = hashlib.sha256(lock.body.encode()).hexdigest()
        self._locks[digest] = lock
        return Resolved(recipe, digest, lock.packages, lock.explanation)

    def measure(self, environment: Resolved) -> Measured:
        """Build the environment and import the row's module in it."""
        python = self._build(environment)
        done = subprocess.run(
            [python, "-I", "-c", _PROBE], cwd=self.folder, capture_output=True, text=True, check=True, timeout=60
        )
        fault = json.loads(done.stdout)
        if fault is None:
            return Measured(Finding("match"), cell=environment.digest)
        return Measured(
            Finding(
                "unavailable" if fault == "untestable" else "error",
                "converter",
                "import",
                fault,
                f"the planted fault {fault}",
            ),
            hints=self.hints.get(fault, ()),
            cell=environment.digest,
        )

    def _lock(self, recipe: Recipe) -> Lock:
        ranges = tuple(f"{package}{specifier}" for package, specifier in recipe.ranges)
        request = replace(self.request, as_of=recipe.as_of, constraints=ranges)
        return resolve(request, self._settings, self._dates)

    def _build(self, environment: Resolved) -> Path:
        place = Path(tempfile.mkdtemp(dir=self.folder)) / "environment"
        self.built.append(environment.digest)
        lock = place.with_suffix(".txt")
        lock.write_text(self._locks[environment.digest].body, encoding="utf-8")
        python = place / "bin" / "python"
        self._uv("venv", "--python", sys.executable, "--no-project", "--quiet", str(place))
        install = ("--no-deps", "--require-hashes", "--quiet", "-r", str(lock))
        self._uv("pip", "install", "--python", str(python), *install)
        return python

    def _uv(self, *arguments: str) -> None:
        outcome = uv.call(arguments, self._settings)
        assert outcome.ok, outcome.text
