"""What a run spent its time on, as spans: passes of jobs, and builds of environments. Pure.

Stages are what workers reported and a run may have been imported, so no number is believed: what is no plausible
number of seconds is unknown, and what lies outside the run or the pass is cut off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from matrix.core.text import plain
from matrix.store.records import Observation, PassRecord
from matrix.store.runs import utc

# The `kind` of a span that is no job.
BUILD = "build"

# Thirty years: no measured time is longer.
_MOST_SECONDS = 1e9
# Clocks are set now and then: a pass may seem to have begun so long before its run, or after its own end.
_SLACK_SECONDS = 1.0
# Processor seconds are counted in ticks: a short stage may seem to use more than the machine has.
_TICK_SECONDS = 0.1
# A worker could report any number of stages, with names of any length.
_MOST_STAGES, _LONGEST_STAGE, _LONGEST_ENVIRONMENT = 50, 60, 200


@dataclass(frozen=True)
class StageTime:
    """A stage of a pass. `cpu_seconds` is None where unknown; `shared` marks an import that an earlier job did."""

    stage: str
    seconds: float
    cpu_seconds: float | None = None
    shared: bool = False


@dataclass(frozen=True)
class Span:
    """A pass of a job, or the build of an environment.

    `began` and `ended` are seconds since the run began, `seconds` is the recorded duration. `kind` is the type of the
    job, or BUILD; `job` is the number of its observation and `name` that of the pass, 0 and '' for a build. `derived`:
    the record does not have `began`, which follows from when the job ended.
    """

    kind: str
    environment: str
    began: float
    ended: float
    seconds: float
    job: int = 0
    name: str = ""
    stages: tuple[StageTime, ...] = ()
    derived: bool = False

    @property
    def outside(self) -> float:
        """The seconds that no stage covers: the start of the process, collecting."""
        return max(0.0, self.seconds - sum(stage.seconds for stage in self.stages))

    @property
    def cpu_seconds(self) -> float | None:
        """The processor seconds of the stages; None where those of any stage are unknown, or no stage is."""
        used = [stage.cpu_seconds for stage in self.stages]
        known = [seconds for seconds in used if seconds is not None]
        return sum(known) if known and len(known) == len(used) else None


@dataclass(frozen=True)
class Window:
    """The time of a run: its start, in seconds since 1970, and its length."""

    start: float
    seconds: float

    def at(self, moment: float) -> float:
        """Return a moment as seconds since the start; a moment outside the run as its start or end."""
        return min(max(moment - self.start, 0.0), self.seconds)


def amount(value: object) -> float | None:
    """Return a stored number of seconds, None for anything that is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _MOST_SECONDS else None


def label(value: object, longest: int) -> str:
    """Return a stored name in one line, '' for anything that is no text."""
    return " ".join(plain(value[: 2 * longest]).split())[:longest] if isinstance(value, str) else ""


def pass_spans(observation: Observation, window: Window, cores: float | None = None) -> list[Span]:
    """Return the passes of a job, in order, without those whose duration is unknown.

    More processor seconds than so many `cores` have are not believed.
    """
    ended = utc(observation.created).timestamp()
    spans = []
    for record in reversed(observation.passes):
        seconds = amount(record.seconds)
        if seconds is None:
            continue
        began = _began(record, window.start, ended)
        start = ended - seconds if began is None else began
        spans.append(
            Span(
                observation.kind,
                observation.environment,
                window.at(start),
                window.at(start + seconds),
                seconds,
                observation.id or 0,
                record.name,
                tuple(_stages(record, seconds, cores)),
                began is None,
            )
        )
        ended = start
    return spans[::-1]


def build_spans(builds: object, window: Window) -> tuple[Span, ...] | None:
    """Read the stored builds of a part of a run, None where they are unknown."""
    if not isinstance(builds, list | tuple):
        return None
    spans = []
    for build in builds:
        if not isinstance(build, list | tuple) or len(build) != 3:
            continue
        name, began, seconds = label(build[0], _LONGEST_ENVIRONMENT), build[1], amount(build[2])
        if name and seconds is not None and _is_moment(began):
            spans.append(Span(BUILD, name, window.at(began), window.at(began + seconds), seconds))
    return tuple(spans)


def _is_moment(value: object) -> bool:
    """Tell whether a value may be seconds since 1970."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e12


def _began(record: PassRecord, earliest: float, latest: float) -> float | None:
    """Return when a pass began, None where that is not recorded or cannot be."""
    began = record.began
    possible = _is_moment(began) and earliest - _SLACK_SECONDS <= began <= latest + _SLACK_SECONDS
    return float(began) if possible else None


def _stages(record: PassRecord, seconds: float, cores: float | None) -> Iterator[StageTime]:
    """Yield the stages of a pass, together at most as long as the pass. A stage in which the worker was ended lasted
    until the end of the pass."""
    found = record.result.get("stages") if isinstance(record.result, Mapping) else None
    entries = [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []
    left = seconds
    for place, entry in enumerate(entries[:_MOST_STAGES], 1):
        name, used = label(entry.get("stage"), _LONGEST_STAGE), amount(entry.get("seconds"))
        if used is None and entry.get("status") == "running" and place == len(entries):
            used = left
        if not name or used is None:
            continue
        used = min(used, left)
        left -= used
        cpu = amount(entry.get("cpu_seconds"))
        if cpu is not None and cores is not None and cpu > used * cores + _TICK_SECONDS:
            cpu = None
        yield StageTime(name, used, cpu, entry.get("shared") is True)
