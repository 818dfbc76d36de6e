"""Show the progress of a run on standard error: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from matrix.judging.outcome import Outcome
from matrix.planning.cells import Cell
from matrix.store.records import Observation

Speak = Callable[[Observation], Outcome | None]


class PlainProgress(AbstractContextManager["PlainProgress"]):
    """One line for each build and job, for logs."""

    def __init__(self, speak: Speak) -> None:
        self._speak = speak
        self._cells = 0
        self._decided = 0
        self._started = time.monotonic()
        self._said: set[str] = set()

    def __exit__(self, *_: object) -> None: ...

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def planned(self, cells: int) -> None:
        # A search plans more cells.
        self._cells += cells

    def building(self, environment: str) -> None:
        self.say(f"{self._clock()} building {environment}")

    def built(self, environment: str, seconds: float, problem: str | None) -> None:
        self.say(f"{self._clock()} {_built(environment, problem)} {seconds:.1f} s")

    def job_started(self, kind: str, environment: str) -> None: ...

    def job_ended(self, observation: Observation, cached: bool) -> None:
        self._say_choice(observation)
        if cached:
            return
        seconds = sum(record.seconds for record in observation.passes)
        self.say(f"{self._clock()} {describe(observation, self._speak)} {seconds:.1f} s")

    def _say_choice(self, observation: Observation) -> None:
        # A search runs several plans with the same file.
        if (chosen := choice(observation)) and chosen not in self._said:
            self._said.add(chosen)
            self.say(chosen)

    def cell_decided(self, cell: Cell) -> None:
        self._decided += 1
        if self._decided == self._cells:
            self.say(f"{self._clock()} all cells decided")

    def _clock(self) -> str:
        return f"[{time.monotonic() - self._started:6.1f} s, {self._decided}/{self._cells}]"


class LiveProgress(PlainProgress):
    """Counts, rate and time left in one live line; failures scroll above it."""

    def __init__(self, speak: Speak) -> None:
        super().__init__(speak)
        self._counts: Counter[str] = Counter()
        self._jobs = 0
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=16),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[rate]}", table_column=Column(no_wrap=True)),
            # The only part that may be cut on a narrow terminal.
            TextColumn("{task.fields[now]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            console=Console(stderr=True),
            expand=True,
        )
        self._task = self._progress.add_task("cells", total=None, now="", rate="")
        self._building: dict[str, None] = {}

    def __enter__(self) -> LiveProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False)

    def planned(self, cells: int) -> None:
        self._progress.update(self._task, total=cells)

    def building(self, environment: str) -> None:
        self._building[environment] = None
        self._show()

    def built(self, environment: str, seconds: float, problem: str | None) -> None:
        self._building.pop(environment, None)
        if problem:
            self.say(_built(environment, problem))
        self._show()

    def job_started(self, kind: str, environment: str) -> None:
        self._show(f"{kind} in {environment}")

    def job_ended(self, observation: Observation, cached: bool) -> None:
        self._say_choice(observation)
        self._jobs += not cached
        found = self._speak(observation)
        self._counts[found.finding.verdict if found else "ok"] += 1
        if found is not None and not cached:
            self.say(describe(observation, self._speak))
        self._show()

    def cell_decided(self, cell: Cell) -> None:
        self._decided += 1
        self._progress.update(self._task, advance=1)
        self._show()

    def _show(self, now: str | None = None) -> None:
        elapsed = max(time.monotonic() - self._started, 0.001)
        task = self._progress.tasks[0]
        left = (task.total or 0) - task.completed
        # Cells come in bursts once their environment is built: an estimate before a few are decided would mislead.
        rate = f"{60 * self._jobs / elapsed:.0f} jobs/min"
        if self._decided >= 3 and left:
            rate += f", {left * elapsed / self._decided:.0f} s left"
        counts = " ".join(f"{name}:{count}" for name, count in sorted(self._counts.items()))
        building = f"building {len(self._building)}" if self._building else ""
        self._progress.update(self._task, rate=rate, now=" · ".join(filter(None, (counts, building, now))))


def _built(environment: str, problem: str | None) -> str:
    match problem:
        case None:
            return f"built {environment}"
        case "interrupted":
            return f"cancelled building {environment}"
        case _:
            return f"cannot build {environment} ({problem})"


def describe(observation: Observation, speak: Speak) -> str:
    """Return a line such as `convert in onnxtf1.3.0…: error in check: ir-version-too-new`."""
    found = speak(observation)
    text = f"{observation.kind} in {observation.environment}: "
    return text + (f"{found.finding.verdict} in {found.finding.stage}: {found.finding.reason}" if found else "ok")


def choice(observation: Observation) -> str:
    """Return what was chosen for the sizes that an .onnx file leaves open, in a line; '' where it leaves none."""
    sizes, chosen = observation.facts.get("sizes"), observation.facts.get("chosen")
    if not isinstance(sizes, dict) or not sizes or not isinstance(chosen, list):
        return ""
    named = ", ".join(f"{label} {size}" for label, size in sizes.items())
    options = " ".join(
        f"--input {item.get('name')}={'x'.join(map(str, item.get('shape') or ()))}:{item.get('dtype')}"
        for item in chosen
        if isinstance(item, dict)
    )
    return f"sizes chosen for open axes: {named}; for others: {options}"


def progress(speak: Speak) -> PlainProgress:
    """Return the progress that suits standard error."""
    return LiveProgress(speak) if sys.stderr.isatty() else PlainProgress(speak)
