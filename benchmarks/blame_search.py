"""Count the environments that `blame` builds to find the day that broke a row, compared with simpler searches.

    python benchmarks/blame_search.py [--run-seconds 30]

Uses local indexes of synthetic releases with real uv and real environments: each world has a row that is good on its
first day and bad on its last. A run of the row's cell takes a sixth of a second here; a real one loads TensorFlow. The
last column estimates the same search if a run takes --run-seconds.

Methods compared, all starting from the same two days, which each has to run first:
- blame: find the distinct environments by resolving, bisect them, then look for an earlier break by the same culprit.
  Counted up to the day; `to the cure` adds the packages, what today's resolution needs to be good, and the proof;
- blame with a remedy: the failure's signature names the broken range, as some do;
- days, equal ones once: bisect the calendar, as by hand with `git bisect`, skipping locks already tested;
- days: bisect the calendar, with a new environment each time;
- one by one: run the distinct environments from the oldest on until one is bad.

`right` says whether the first day on which the row was bad was found. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The synthetic index belongs to the tests.
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from laboratory import Laboratory  # noqa: E402
from synthetic_index import World  # noqa: E402

from matrix.answers.blame.search import find_blame  # noqa: E402
from matrix.answers.blame.types import Blame, Measured, Recipe, Resolved  # noqa: E402

START = dt.date(2021, 1, 1)
LIMIT = 40


@dataclass
class Story:
    """A world, the first day on which its row is bad, and the range that a remedy would name."""

    title: str
    days: int
    broken: int
    remedy: tuple[str, str]
    world: World = field(default_factory=World)

    @property
    def then(self) -> dt.date:
        return day(1)

    @property
    def now(self) -> dt.date:
        return day(self.days)


@dataclass(frozen=True)
class Taken:
    """Environments built and run, resolutions, total seconds, and the seconds spent building and running."""

    builds: int = 0
    resolutions: int = 0
    seconds: float = 0.0
    running: float = 0.0

    def with_runs_of(self, seconds: float) -> float:
        return self.seconds - self.running + self.builds * seconds


def day(number: int) -> dt.date:
    return START + dt.timedelta(days=number)


def stories() -> list[Story]:
    return [rare(), frequent(), twice(), again()]


def rare() -> Story:
    """Releases appear on few of the days."""
    story = Story("60 releases in 1,000 days", 1000, 621, ("lib", "<2"))
    story.world.release("app", "1.0", day(0), ["lib", "noise"], "import lib\n")
    quiet(story, every=17)
    versions(story, "lib", {0: "1.0", 620: "2.0"}, broken="2")
    return story


def frequent() -> Story:
    story = Story("1,000 releases in 1,000 days", 1000, 701, ("lib", "<7"))
    story.world.release("app", "1.0", day(0), ["lib"], "import lib\n")
    versions(story, "lib", {n: f"{n // 100}.{n % 100}" for n in range(1000)}, broken="7")
    return story


def twice() -> Story:
    story = Story("two independent culprits, 100 releases", 1000, 331, ("lib", "<2"))
    story.world.release("app", "1.0", day(0), ["lib", "other", "noise"], "import lib\nimport other\n")
    quiet(story, every=10)
    versions(story, "lib", {0: "1.0", 330: "2.0"}, broken="2")
    versions(story, "other", {0: "1.0", 770: "2.0"}, broken="2", reason="other")
    return story


def again() -> Story:
    """Another package excludes the culprit for a while, then allows it again."""
    story = Story("broken, fixed, broken again by the same package", 1000, 106, ("lib", "<4"))
    story.world.release("app", "1.0", day(0), ["other", "lib", "noise"], "import lib\n")
    quiet(story, every=10)
    versions(story, "lib", {0: "3.19", 105: "4.21", 305: "4.22"}, broken="4")
    for number, version, needed in ((0, "1.11", "lib"), (135, "1.12", "lib<4"), (605, "1.14", "lib")):
        story.world.release("other", version, day(number), [needed])
    return story


def quiet(story: Story, every: int) -> None:
    for number, since in enumerate(range(0, story.days, every)):
        story.world.release("noise", f"1.{number}", day(since))


def versions(story: Story, name: str, released: Mapping[int, str], broken: str, reason: str = "broken") -> None:
    """Release versions of a package that cannot be imported from major version `broken` on."""
    for number, version in released.items():
        bad = int(version.split(".")[0]) >= int(broken)
        story.world.release(name, version, day(number), code=f"raise RuntimeError({reason!r})\n" if bad else "")


def main() -> int:
    parser = argparse.ArgumentParser(description="Count the environments built to find the day that broke a row.")
    parser.add_argument("--run-seconds", type=float, default=30.0, help="seconds that a real run of a cell takes")
    options = parser.parse_args()
    print(
        f"| world | method | found | right | environments | resolutions | seconds | {options.run_seconds:.0f} s/run |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for story in stories():
        for way, search in WAYS.items():
            with tempfile.TemporaryDirectory() as folder:
                os.environ["UV_CACHE_DIR"] = str(Path(folder) / "cache")
                with story.world.served() as url:
                    # Warm up: what uv learns once about this machine is not part of a search.
                    Laboratory(Path(folder), url).commit(story.then)
                    for part, found, taken in search(story, Timed(Path(folder), url)):
                        report(story, way + part, found, taken, options.run_seconds)
    return 0


class Timed(Laboratory):
    """Measures the effort so far: in total, and up to the last run without extra ranges, which names the day; later
    runs are about packages and the cure."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.began = time.perf_counter()
        self.running = 0.0
        self.named = Taken()

    def measure(self, environment: Resolved) -> Measured:
        began = time.perf_counter()
        measured = super().measure(environment)
        self.running += time.perf_counter() - began
        if not environment.recipe.ranges:
            self.named = self.taken()
        return measured

    def taken(self) -> Taken:
        return Taken(len(self.built), self.resolutions, time.perf_counter() - self.began, self.running)


def blame(story: Story, laboratory: Timed) -> Iterator[tuple[str, dt.date, Taken]]:
    found: Blame = laboratory.follow(find_blame(story.then, story.now, LIMIT))
    assert found.cure is not None
    first = found.transitions[0].after.recipe.as_of
    yield "", first, laboratory.named
    yield ", to the cure", first, laboratory.taken()


def blame_with_a_remedy(story: Story, laboratory: Timed) -> Iterator[tuple[str, dt.date, Taken]]:
    laboratory.hints = {"broken": ((story.remedy,),)}
    yield from blame(story, laboratory)


def days_equal_once(story: Story, laboratory: Timed) -> Iterator[tuple[str, dt.date, Taken]]:
    known: dict[str, bool] = {}

    def good(environment: Resolved) -> bool:
        if environment.digest not in known:
            known[environment.digest] = laboratory.measure(environment).good is True
        return known[environment.digest]

    found = _over_days(story, laboratory, good)
    yield "", found, laboratory.taken()


def days(story: Story, laboratory: Timed) -> Iterator[tuple[str, dt.date, Taken]]:
    found = _over_days(story, laboratory, lambda environment: laboratory.measure(environment).good is True)
    yield "", found, laboratory.taken()


def _over_days(story: Story, laboratory: Timed, good: Callable[[Resolved], bool]) -> dt.date:
    def probe(number: int) -> bool:
        laboratory.resolutions += 1
        return good(laboratory.resolve(Recipe(day(number))))

    low, high = 1, story.days
    assert probe(low) and not probe(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if probe(middle) else (low, middle)
    return day(high)


def one_by_one(story: Story, laboratory: Timed) -> Iterator[tuple[str, dt.date, Taken]]:
    """Resolve each day to find the distinct environments, then run them in order."""
    with ThreadPoolExecutor(4) as pool:
        environments = list(pool.map(laboratory.resolve, [Recipe(day(n)) for n in range(1, story.days + 1)]))
    laboratory.resolutions = len(environments)
    assert not laboratory.measure(environments[-1]).good
    tested = ""
    for environment in environments:
        if environment.digest != tested and not laboratory.measure(environment).good:
            break
        tested = environment.digest
    yield "", environment.recipe.as_of, laboratory.taken()


WAYS: dict[str, Callable[[Story, Timed], Iterator[tuple[str, dt.date, Taken]]]] = {
    "blame": blame,
    "blame with a remedy": blame_with_a_remedy,
    "days, equal ones once": days_equal_once,
    "days": days,
    "one by one": one_by_one,
}


def report(story: Story, way: str, found: dt.date, taken: Taken, run_seconds: float) -> None:
    right = "yes" if found == day(story.broken) else "no"
    print(
        f"| {story.title} | {way} | {found} | {right} | {taken.builds} | {taken.resolutions} "
        f"| {taken.seconds:.1f} | {taken.with_runs_of(run_seconds):.0f} |",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
