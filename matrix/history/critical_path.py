"""The critical path of a run: the chain of passes and builds that decided when it ended. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from matrix.history.spans import BUILD, Span
from matrix.store.records import CellRecord

# A span may seem to begin before the one that it waited for ended: times are rounded, and from two clocks.
_CLOCK_SECONDS = 0.05
# What follows so soon on what it needs waited for that; what begins later waited for a slot.
_PROMPT_SECONDS = 0.5


@dataclass(frozen=True)
class PathStep:
    """Consecutive passes of one type of job in one environment, or a build. `began` is in seconds since the run began;
    `waited` are the seconds before and between the spans in which the path did not advance."""

    kind: str
    environment: str
    spans: int
    began: float
    seconds: float
    waited: float


def jobs_before(cells: Iterable[CellRecord]) -> dict[int, set[int]]:
    """Return by job the jobs it waited for; jobs are numbers of observations."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    for cell in cells:
        chain = [number for number in (cell.forward, cell.export, *cell.alter) if number is not None]
        for earlier, later in pairwise(chain):
            found[later].add(earlier)
        for number in (cell.reference, cell.convert, cell.expose):
            if number is not None:
                found[number].add(chain[-1])
        if cell.trace is not None and cell.expose is not None:
            found[cell.trace].add(cell.expose)
    return dict(found)


def critical_path(spans: Sequence[Span], before: Mapping[int, Collection[int]]) -> tuple[PathStep, ...]:
    """Walk back from the span that ended last, and return the steps in the order of time.

    `before` are the jobs that each job waited for. A span follows what ended last of what it needs: the previous pass
    of its job, the jobs before it, the build of its environment, and the previous pass in that environment, which runs
    one job at a time. If it began later than that allowed, it follows the pass that ended last and released a slot.
    """
    chain: list[Span] = []
    ended = _Index(spans, before)
    span = max(spans, key=lambda span: (span.ended, span.began), default=None)
    while span is not None:
        chain.append(span)
        span = ended.predecessor(span)
    steps: list[PathStep] = []
    at = 0.0
    for span in reversed(chain):
        waited, seconds = max(0.0, span.began - at), max(0.0, span.ended - max(span.began, at))
        at = max(at, span.ended)
        last = steps[-1] if steps else None
        if last is not None and (last.kind, last.environment) == (span.kind, span.environment):
            steps[-1] = replace(last, spans=last.spans + 1, seconds=last.seconds + seconds, waited=last.waited + waited)
        else:
            steps.append(PathStep(span.kind, span.environment, 1, span.began, seconds, waited))
    return tuple(steps)


class _Ended:
    """Spans by their end."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._spans = sorted(spans, key=lambda span: (span.ended, span.began))
        self._ends = [span.ended for span in self._spans]

    def before(self, span: Span) -> Span | None:
        """Return the span that ended last before `span` began. It began earlier, so that every walk back ends."""
        for place in range(bisect_right(self._ends, span.began + _CLOCK_SECONDS) - 1, -1, -1):
            if self._spans[place].began < span.began:
                return self._spans[place]
        return None


class _Index:
    """The spans of a run by what others may wait for."""

    def __init__(self, spans: Sequence[Span], before: Mapping[int, Collection[int]]) -> None:
        self._before = before
        groups: defaultdict[object, list[Span]] = defaultdict(list)
        for span in spans:
            if span.kind == BUILD:
                keys: tuple[object, ...] = ("builds", ("build", span.environment))
            else:
                keys = ("passes", ("job", span.job), ("environment", span.environment))
            for key in keys:
                groups[key].append(span)
        self._groups = {key: _Ended(group) for key, group in groups.items()}

    def predecessor(self, span: Span) -> Span | None:
        """Return the span that this one waited for, None for the start of the run."""
        if span.kind == BUILD:
            needed = self._last(span, "builds")
        else:
            jobs = (span.job, *self._before.get(span.job, ()))
            of_environment = (("build", span.environment), ("environment", span.environment))
            needed = self._last(span, *(("job", job) for job in jobs), *of_environment)
        if needed is not None and span.began - needed.ended <= _PROMPT_SECONDS:
            return needed
        released = self._last(span, "passes")
        if needed is None or (released is not None and released.ended > needed.ended):
            return released
        return needed

    def _last(self, span: Span, *keys: object) -> Span | None:
        found = (self._groups[key].before(span) for key in keys if key in self._groups)
        return max((one for one in found if one is not None), key=lambda one: one.ended, default=None)
