"""Where the time of a stored run went: by stage, job type and environment, how much ran at once, and what decided
when it ended. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from matrix.history.critical_path import PathStep, critical_path, jobs_before
from matrix.history.spans import Span, StageTime, Window, amount, build_spans, pass_spans
from matrix.store.records import CellRecord, Observation, RunPart, RunRecord
from matrix.store.runs import utc

# The row of the seconds of passes that no stage covers.
OUTSIDE = "outside stages"

# Children use at least what workers report; a difference below zero that is larger means that it cannot be told.
_ROUNDING_SECONDS = 1.0


@dataclass(frozen=True)
class Known:
    """A sum over the passes for which a number is known, None if there are none; `unknown` passes are left out."""

    seconds: float | None
    unknown: int


@dataclass(frozen=True)
class TimeRow:
    """A row of a table: `count` stages or jobs with their elapsed seconds. `cpu` leaves out stages or passes whose
    processor seconds are unknown."""

    name: str
    count: int
    seconds: float
    cpu: Known


@dataclass(frozen=True)
class PartSpent:
    """What a part of a run recorded of its machine; None where unknown. `seconds` is how long the part took."""

    seconds: float | None
    cores: float | None
    slots: float | None
    driver: float | None
    children: float | None
    builds: tuple[Span, ...] | None


@dataclass(frozen=True)
class RunProfile:
    """Where the time of a run went. `wall` are the seconds it took; `jobs` is the number of jobs that ran, `unusable`
    the number of their passes whose duration is unknown."""

    run: RunRecord
    wall: float
    parts: tuple[PartSpent, ...]
    jobs: int
    passes: tuple[Span, ...]
    unusable: int
    path: tuple[PathStep, ...]

    @property
    def builds(self) -> tuple[Span, ...]:
        return tuple(span for part in self.parts for span in part.builds or ())

    @property
    def builds_known(self) -> bool:
        """Whether every part recorded its builds."""
        return bool(self.parts) and all(part.builds is not None for part in self.parts)

    @property
    def build_seconds(self) -> float | None:
        return sum(span.seconds for span in self.builds) if self.builds_known else None

    @cached_property
    def pass_seconds(self) -> float:
        return sum(span.seconds for span in self.passes)

    # -- capacity

    @property
    def cores(self) -> float | None:
        return self._sum(lambda part: part.cores)

    @property
    def slots(self) -> float | None:
        return self._sum(lambda part: part.slots)

    @property
    def core_seconds(self) -> float | None:
        """The processor seconds that the machines had while their parts ran."""
        return self._sum(lambda part: _times(part.cores, part.seconds))

    @property
    def idle_seconds(self) -> float | None:
        """The seconds for which slots had no pass, summed over all slots."""
        slots = self._sum(lambda part: _times(part.slots, part.seconds))
        return None if slots is None else max(0.0, slots - self.pass_seconds)

    # -- processor seconds

    @cached_property
    def stage_cpu(self) -> Known:
        return _known_cpu(self.passes)

    @property
    def driver_cpu(self) -> float | None:
        return self._sum(lambda part: part.driver)

    @property
    def other_cpu(self) -> float | None:
        """The processor seconds of the driver's children outside stages: builds, the start of workers. None also where
        workers are not the driver's children."""
        children, stages = self._sum(lambda part: part.children), self.stage_cpu.seconds
        if children is None or stages is None or "docker" in self.run.engine.split("+"):
            return None
        other = children - stages
        return max(0.0, other) if other >= -_ROUNDING_SECONDS else None

    @property
    def waited(self) -> Known:
        """The seconds of passes in which no stage used a processor."""
        pairs = [(span.seconds, span.cpu_seconds) for span in self.passes]
        waited = [max(0.0, seconds - cpu) for seconds, cpu in pairs if cpu is not None]
        return Known(sum(waited) if waited else None, len(pairs) - len(waited))

    @property
    def busy(self) -> float | None:
        """The share of the machines' processor seconds that stages used."""
        cores, stages = self.core_seconds, self.stage_cpu.seconds
        return stages / cores if cores and stages is not None else None

    # -- tables

    @cached_property
    def by_stage(self) -> tuple[TimeRow, ...]:
        """The stages as `pass/stage`, and what no stage covers; their seconds add up to those of all passes."""
        stages: defaultdict[str, list[StageTime]] = defaultdict(list)
        for span in self.passes:
            for stage in span.stages:
                stages[f"{span.name}/{stage.stage}"].append(stage)
        rows = [_stage_row(name, of_name) for name, of_name in stages.items()]
        count, outside = len(self.passes), sum(span.outside for span in self.passes)
        return _longest_first([*rows, TimeRow(OUTSIDE, count, outside, Known(None, count))])

    @cached_property
    def by_kind(self) -> tuple[TimeRow, ...]:
        return self._by(lambda span: span.kind)

    @cached_property
    def by_environment(self) -> tuple[TimeRow, ...]:
        return self._by(lambda span: span.environment)

    @cached_property
    def at_once(self) -> tuple[float, ...]:
        """The seconds for which 0, 1, 2, … passes ran at once; they add up to those of the run."""
        # At the same moment, a pass ends before another begins.
        changes = sorted(
            change for span in self.passes if span.ended > span.began for change in ((span.began, 1), (span.ended, -1))
        )
        seconds: defaultdict[int, float] = defaultdict(float)
        running, at = 0, 0.0
        for moment, change in [*changes, (self.wall, 0)]:
            seconds[running] += moment - at
            running, at = running + change, moment
        return tuple(seconds[number] for number in range(max(seconds) + 1))

    @property
    def path_seconds(self) -> float:
        """The seconds of the critical path in which a pass or a build ran."""
        return sum(step.seconds for step in self.path)

    @property
    def path_waited(self) -> float:
        """The seconds of the run in which the critical path did not advance, its beginning and end included."""
        return max(0.0, self.wall - self.path_seconds)

    def share(self, row: TimeRow) -> float:
        """Return the share of a row in the seconds of all passes."""
        return row.seconds / self.pass_seconds if self.pass_seconds else 0.0

    def _by(self, key: Callable[[Span], str]) -> tuple[TimeRow, ...]:
        groups: defaultdict[str, list[Span]] = defaultdict(list)
        for span in self.passes:
            groups[key(span)].append(span)
        return _longest_first(
            TimeRow(name, len({span.job for span in spans}), sum(span.seconds for span in spans), _known_cpu(spans))
            for name, spans in groups.items()
        )

    def _sum(self, value: Callable[[PartSpent], float | None]) -> float | None:
        """Return the sum over all parts, None where it is unknown of any."""
        values = [value(part) for part in self.parts]
        known = [one for one in values if one is not None]
        return sum(known) if known and len(known) == len(values) else None


def profile(run: RunRecord, observations: Iterable[Observation], cells: Iterable[CellRecord]) -> RunProfile:
    """Return the profile of a run from what it observed itself and the cells it decided."""
    observations = [one for one in observations if one.passes]
    start = utc(run.started).timestamp()
    ends = [utc(one.created).timestamp() for one in observations]
    end = utc(run.ended).timestamp() if run.ended is not None else max(ends, default=start)
    window = Window(start, max(0.0, end - start))
    parts = tuple(_spent(part, window) for part in run.parts)
    cores = max((part.cores for part in parts if part.cores is not None), default=None)
    passes = [span for one in observations for span in pass_spans(one, window, cores)]
    passes.sort(key=lambda span: (span.began, span.ended))
    builds = [span for part in parts for span in part.builds or ()]
    return RunProfile(
        run=run,
        wall=window.seconds,
        parts=parts,
        jobs=len(observations),
        passes=tuple(passes),
        unusable=sum(len(one.passes) for one in observations) - len(passes),
        path=critical_path([*builds, *passes], jobs_before(cells)),
    )


def _spent(part: RunPart, window: Window) -> PartSpent:
    """Read what a part recorded; older versions recorded nothing, and an import may hold anything."""
    found = part.host.get("spent")
    spent = found if isinstance(found, dict) else {}
    seconds = None if part.ended is None else max(0.0, (utc(part.ended) - utc(part.started)).total_seconds())
    return PartSpent(
        seconds=seconds,
        cores=amount(spent.get("cores")) or None,
        slots=amount(spent.get("jobs")) or None,
        driver=amount(spent.get("driver_cpu_seconds")),
        children=amount(spent.get("children_cpu_seconds")),
        builds=build_spans(spent.get("builds"), window),
    )


def _stage_row(name: str, stages: Sequence[StageTime]) -> TimeRow:
    own = [stage for stage in stages if not stage.shared]
    known = [stage.cpu_seconds for stage in own if stage.cpu_seconds is not None]
    cpu = Known(sum(known) if known else None, len(own) - len(known))
    return TimeRow(name, len(own), sum(stage.seconds for stage in stages), cpu)


def _known_cpu(spans: Sequence[Span]) -> Known:
    """Sum up the processor seconds of stages; `unknown` are the passes with a stage of unknown ones, or without any."""
    known = [stage.cpu_seconds for span in spans for stage in span.stages if stage.cpu_seconds is not None]
    return Known(sum(known) if known else None, sum(span.cpu_seconds is None for span in spans))


def _longest_first(rows: Iterable[TimeRow]) -> tuple[TimeRow, ...]:
    return tuple(sorted(rows, key=lambda row: (-row.seconds, row.name)))


def _times(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one * other
