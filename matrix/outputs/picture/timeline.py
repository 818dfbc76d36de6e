"""Draw a profile as a timeline: a row for each slot, a bar for each stage, builds below. One SVG file, nothing else.

The colours are told apart with any colour vision (Okabe and Ito, https://jfly.uni-koeln.de/color/); a test holds them
against the common deficiencies.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from matrix.core.text import for_xml
from matrix.history.profile import RunProfile
from matrix.history.spans import BUILD, Span

# Colours by stage; any other stage is OTHER.
_OTHER, _OUTSIDE = "other stages", "outside stages"
COLOURS = {
    "import": "#0072b2",
    "forward": "#56b4e9",
    "export": "#e69f00",
    "convert": "#d55e00",
    "run": "#009e73",
    "save": "#f0e442",
    "reload": "#cc79a7",
    _OTHER: "#3d3d3d",
    _OUTSIDE: "#c4c4c4",
}
_PAPER, _INK, _FAINT, _GRID = "#ffffff", "#1f2328", "#59636e", "#d1d9e0"

# Pixels: the margins, the plot, a row with its gap, a build.
_LEFT, _TOP, _WIDTH, _RIGHT, _ROW, _BAR, _BUILD_ROW, _BUILD_BAR = 70, 84, 1400, 30, 26, 20, 14, 10
# More rows than a machine has slots come from several machines, or from a record that makes no sense.
_MOST_ROWS = 128
# A pass may seem to begin before the one before it has ended: times are rounded.
_CLOCK_SECONDS = 0.05

# Characters that change the direction of the text after them.
_DIRECTION = re.compile(r"[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")


@dataclass(frozen=True)
class _Bar:
    """A stage or a build from `began` to `ended`, in seconds since the run began. `style` is its class."""

    began: float
    ended: float
    style: str
    title: str


def timeline(found: RunProfile) -> str:
    """Return the timeline as SVG."""
    slots = _rows(found.passes)
    builds = _rows(found.builds)
    scale = _WIDTH / max(found.wall, 1e-3)
    lower = _TOP + _ROW * len(slots) + 8
    bottom = lower + _BUILD_ROW * len(builds)
    drawn = [
        *_head(found, bottom + 46),
        *_axis(found.wall, scale, bottom),
        *_legend(),
    ]
    for place, spans in enumerate(slots):
        bars = (bar for span in spans for bar in _stages(span))
        drawn += _row(f"slot {place + 1}", _TOP + _ROW * place, _BAR, _merged(bars, scale), scale)
    for place, spans in enumerate(builds):
        bars = (_Bar(span.began, span.ended, "b", f"build · {_spanning(span)}") for span in spans)
        name = "" if place else "builds"
        drawn += _row(name, lower + _BUILD_ROW * place, _BUILD_BAR, _merged(bars, scale), scale)
    return "\n".join([*drawn, "</svg>", ""])


def _rows(spans: Iterable[Span]) -> list[list[Span]]:
    """Place spans in rows without overlap: where the environment ran before, else in the first row that is free."""
    rows: list[list[Span]] = []
    for span in sorted(spans, key=lambda span: (span.began, span.ended)):
        free = [row for row in rows if row[-1].ended <= span.began + _CLOCK_SECONDS]
        same = [row for row in free if row[-1].environment == span.environment]
        if same or free:
            (same or free)[0].append(span)
        elif len(rows) < _MOST_ROWS:
            rows.append([span])
    return rows


def _stages(span: Span) -> Iterator[_Bar]:
    """Yield the stages of a pass. Where a worker imports, its start came before; what else is outside came after."""
    imports = bool(span.stages) and span.stages[0].stage == "import" and not span.stages[0].shared
    at = span.began
    about = f"{span.kind} {span.job} · {span.environment} · {span.name}/"
    outside = [(_OUTSIDE, span.outside, "")]
    stages = [
        (stage.stage, stage.seconds, "" if stage.cpu_seconds is None else f" ({stage.cpu_seconds:.2f} s of processor)")
        for stage in span.stages
    ]
    for stage, seconds, processor in [*outside, *stages] if imports else [*stages, *outside]:
        ended = min(at + seconds, span.ended)
        if ended > at:
            style = _style(stage if stage in COLOURS else _OTHER)
            yield _Bar(at, ended, style, f"{about}{stage} · {seconds:.2f} s{processor} from {at:.1f} s on")
        at = ended


def _spanning(span: Span) -> str:
    return f"{span.environment} · {span.seconds:.2f} s from {span.began:.1f} s on"


def _merged(bars: Iterable[_Bar], scale: float) -> Iterator[_Bar]:
    """Yield bars of at least a pixel: shorter ones are merged with their neighbours, and named after the longest."""
    together: list[_Bar] = []
    for bar in bars:
        if together and (bar.began - together[-1].ended) * scale >= 1:
            yield _one(together)
            together = []
        together.append(bar)
        if (bar.ended - together[0].began) * scale >= 1:
            yield _one(together)
            together = []
    if together:
        yield _one(together)


def _one(bars: Sequence[_Bar]) -> _Bar:
    longest = max(bars, key=lambda bar: bar.ended - bar.began)
    more = f"; {len(bars) - 1} more too short to be drawn" if len(bars) > 1 else ""
    return _Bar(bars[0].began, bars[-1].ended, longest.style, longest.title + more)


def _row(name: str, top: int, height: int, bars: Iterable[_Bar], scale: float) -> Iterator[str]:
    yield f'<g transform="translate({_LEFT},{top})">'
    if name:
        yield f'<text x="-8" y="{height / 2 + 4:g}" text-anchor="end">{name}</text>'
    for bar in bars:
        wide = max(1.0, (bar.ended - bar.began) * scale)
        yield (
            f'<rect x="{bar.began * scale:.1f}" width="{wide:.1f}" height="{height}" class="{bar.style}">'
            f"<title>{_said(bar.title)}</title></rect>"
        )
    yield "</g>"


def _head(found: RunProfile, height: int) -> Iterator[str]:
    run = found.run
    wide = _LEFT + _WIDTH + _RIGHT
    title = f"run {run.id}: {run.tier}, {run.engine}, {run.status}"
    facts = [f"{found.wall:.1f} s", f"{found.jobs} jobs", f"{len(found.passes)} passes"]
    facts += [f"stages used {found.busy:.0%} of the processors"] if found.busy is not None else []
    styles = "".join(f".{_style(stage)}{{fill:{colour}}}" for stage, colour in COLOURS.items())
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {height}" width="{wide}" height="{height}" '
        'role="img" font-family="system-ui, -apple-system, Segoe UI, Roboto, Arial, DejaVu Sans, sans-serif" '
        'font-size="12">'
    )
    yield f"<title>{_said(title)}</title>"
    yield (
        f"<style>text{{fill:{_INK}}}.f{{fill:{_FAINT}}}line{{stroke:{_GRID}}}"
        f".b{{fill:{_PAPER};stroke:{_INK}}}{styles}</style>"
    )
    yield f'<rect width="{wide}" height="{height}" fill="{_PAPER}"/>'
    yield f'<text x="{_LEFT}" y="24" font-size="15" font-weight="600">{_said(title)}</text>'
    yield f'<text x="{_LEFT + _WIDTH}" y="24" text-anchor="end" class="f">{_said(" · ".join(facts))}</text>'


def _legend() -> Iterator[str]:
    at = _LEFT
    for name, style in [*((stage, _style(stage)) for stage in COLOURS), (BUILD, "b")]:
        yield f'<rect x="{at}" y="42" width="12" height="12" class="{style}"/>'
        yield f'<text x="{at + 18}" y="52">{name}</text>'
        at += 44 + 8 * len(name)


def _axis(wall: float, scale: float, bottom: int) -> Iterator[str]:
    """Yield a line and a label for about ten round numbers of seconds."""
    step = _step(wall)
    for number in range(math.floor(wall / step) + 1):
        x = _LEFT + number * step * scale
        yield f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{bottom + 6}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 22}" text-anchor="middle" class="f">{number * step:g} s</text>'


def _step(wall: float) -> float:
    """Return 1, 2 or 5 times a power of ten, at least a tenth of `wall`."""
    least = max(wall, 1e-3) / 10
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= least * (1 - 1e-9))


def _style(stage: str) -> str:
    return f"s{[*COLOURS].index(stage)}"


def _said(text: str) -> str:
    return escape(for_xml(_DIRECTION.sub("", text)))
