"""A blame as a picture: a line that steps down where the cell broke, with the culprit's name above the step.

SVG that needs nothing else: no script, no font, no file. Height says good or bad and marks repeat it, so that it reads
without colour; lengths are in units of a picture 900 wide.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from matrix.answers.blame.questions import Resolved, Transition
from matrix.answers.blame.report import Standing, Story, accused, days, ranges_text, standing
from matrix.answers.blame.text import answer, joined, remedy

WIDTH, HEIGHT = 900, 268

_LEFT, _RIGHT, _CURED = 92.0, 752.0, 842.0
_EDGE = 12.0
_GOOD, _UNKNOWN, _BAD, _AXIS, _DATES = 134.0, 163.0, 192.0, 226.0, 254.0
_LEVELS: dict[Standing, float] = {"good": _GOOD, "unknown": _UNKNOWN, "bad": _BAD}
_ROWS = (92.0, 60.0, 28.0)  # baselines of the names above the line, the nearest first
_MOST = 5
_SIZE = 20
_RADIUS = 12.0
_DOT = 4.5

# No font is known here, so letters are taken for as wide as a wide one (DejaVu Sans) draws them.
_LETTER, _BOLD = 0.63 * _SIZE, 0.7 * _SIZE
_GAP = 16.0

_STYLE = """\
.blame{font:20px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans",sans-serif}
.blame .paper{fill:#ffffff;stroke:#d1d9e0}
.blame text{fill:#1f2328}
.blame .name{font-weight:600}
.blame .faint{fill:#59636e;font-weight:400}
.blame .rule{stroke:#8b949e}
.blame .lead{stroke:#59636e;stroke-dasharray:2 4}
.blame .level{stroke:#d1d9e0}
.blame .good{stroke:#1a7f37}
.blame .bad{stroke:#cf222e}
.blame .unknown{stroke:#6e7781}
.blame .disc.good,.blame .dot.good{fill:#1a7f37}
.blame .disc.bad,.blame .dot.bad{fill:#cf222e}
.blame .disc.unknown,.blame .dot.unknown{fill:#6e7781}
.blame .disc,.blame .dot{stroke:#ffffff;stroke-width:2}
.blame .glyph{stroke:#ffffff;stroke-width:2.6;fill:none;stroke-linecap:round;stroke-linejoin:round}
@media (prefers-color-scheme:dark){
.blame .paper{fill:#0d1117;stroke:#30363d}
.blame text{fill:#e6edf3}
.blame .faint{fill:#9198a1}
.blame .rule{stroke:#6e7681}
.blame .lead{stroke:#9198a1}
.blame .level{stroke:#30363d}
.blame .good{stroke:#3fb950}
.blame .bad{stroke:#ff7b72}
.blame .unknown{stroke:#9198a1}
.blame .disc.good,.blame .dot.good{fill:#3fb950}
.blame .disc.bad,.blame .dot.bad{fill:#ff7b72}
.blame .disc.unknown,.blame .dot.unknown{fill:#9198a1}
.blame .disc,.blame .dot{stroke:#0d1117}
.blame .glyph{stroke:#0d1117}
}
"""

# ✓, ✕ and ? drawn about their middle, for not every font has them.
_GLYPHS: dict[Standing, str] = {
    "good": "M-5.5 .5L-1.7 4.5L5.5 -4",
    "bad": "M-4.3 -4.3L4.3 4.3M4.3 -4.3L-4.3 4.3",
    "unknown": "M-3.2 -3.4A3.2 3.2 0 1 1 0 .4L0 2M0 5.6L0 5.7",
}
_WORDS: dict[Standing, str] = {"good": "matches", "bad": "fails", "unknown": "could not be measured"}

# What XML 1.0 cannot hold, however it is written.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class _Point:
    """An environment in which the cell was run. `until` is where its stretch of time ends, `index` its place among
    the distinct environments."""

    environment: Resolved
    standing: Standing
    x: float
    until: float
    index: int


@dataclass(frozen=True)
class _Label:
    """A name over the place `x`, to which a line leads down to `to`; None: no line. `faint` follows it less loudly."""

    x: float
    name: str
    faint: str
    to: float | None
    ends: bool = False

    @property
    def width(self) -> float:
        return (len(self.name) + (len(self.faint) + 1) * bool(self.faint)) * _BOLD

    def cut(self) -> _Label:
        """As much of it as the picture is wide."""
        most = int((WIDTH - 2 * _EDGE) / _BOLD) - len(self.faint) - 1
        name = self.name if len(self.name) <= most else f"{self.name[: most - 1]}…"
        return _Label(self.x, name, self.faint, self.to, self.ends)


@dataclass(frozen=True)
class _Placed:
    label: _Label
    row: int
    start: float

    @property
    def end(self) -> float:
        return self.start + self.label.width

    def hinders(self, other: _Placed) -> bool:
        """Whether the two names, or one's name and the other's line, would cross."""
        if self.row == other.row:
            return self.start < other.end + _GAP and other.start < self.end + _GAP
        lower, upper = (self, other) if self.row < other.row else (other, self)
        line = upper.label.x
        return upper.label.to is not None and lower.start - _GAP / 2 < line < lower.end + _GAP / 2


def picture(story: Story) -> str:
    """The SVG as text."""
    scale = _Scale(story.blame.then.recipe.as_of, story.blame.now.recipe.as_of)
    members = _members(story)
    points = _points(story, members, scale)
    names = _placed(_labels(story, scale))
    # Rows that hold no name are left out.
    top = _ROWS[max((one.row for one in names), default=0)] - _ROWS[-1]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="blame" viewBox="0 {top:g} {WIDTH} {HEIGHT - top:g}" '
        f'width="{WIDTH}" height="{HEIGHT - top:g}" role="img">',
        f"<title>{_text(answer(story))}</title>",
        f"<desc>{_text(story.cell)}</desc>",
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" x=".5" y="{top + 0.5:g}" width="{WIDTH - 1}" height="{HEIGHT - top - 1:g}" rx="8"/>',
        *_levels(),
        *_axis(scale, members),
        *_names(names),
        *_line(points, bool(story.blame.timeline)),
        *_cure(story, scale),
        *_marks(story, points),
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Scale:
    """Days to places between the ends."""

    def __init__(self, first: dt.date, last: dt.date) -> None:
        self.first, self.last = first, last
        self.days = max((last - first).days, 1)

    def __call__(self, day: dt.date) -> float:
        share = (day - self.first).days / self.days
        return _LEFT + (_RIGHT - _LEFT) * min(max(share, 0.0), 1.0)


def _members(story: Story) -> tuple[Resolved, ...]:
    """The distinct environments, the two ends among them, oldest first."""
    blame = story.blame
    known = {environment.recipe.as_of: environment for environment in (blame.now, blame.then, *blame.timeline)}
    # The stretch of today's environment mostly began before today.
    known.setdefault(blame.now.recipe.as_of, blame.now)
    return tuple(known[day] for day in sorted(known))


def _points(story: Story, members: Sequence[Resolved], scale: _Scale) -> list[_Point]:
    found = []
    for index, environment in enumerate(members):
        if (known := standing(story.blame, environment)) is not None:
            x = scale(environment.recipe.as_of)
            until = scale(members[index + 1].recipe.as_of) if index + 1 < len(members) else x
            found.append(_Point(environment, known, x, until, index))
    return found


def _levels() -> Iterator[str]:
    for word, level in (("works", _GOOD), ("fails", _BAD)):
        yield f'<line class="level" x1="{_LEFT:g}" y1="{level:g}" x2="{_RIGHT:g}" y2="{level:g}"/>'
        yield f'<text class="faint" x="{_EDGE:g}" y="{level + 7:g}">{word}</text>'


def _axis(scale: _Scale, members: Sequence[Resolved]) -> Iterator[str]:
    yield f'<line class="rule" x1="{_LEFT:g}" y1="{_AXIS:g}" x2="{_RIGHT:g}" y2="{_AXIS:g}"/>'
    ticks = "".join(f"M{scale(environment.recipe.as_of):.1f} {_AXIS:g}v-9" for environment in members)
    yield f'<path class="rule" d="{ticks}"><title>{len(members)} distinct environments</title></path>'
    ends = (f"then {scale.first}", f"now {scale.last}")
    yield f'<text x="{_EDGE:g}" y="{_DATES:g}">{ends[0]}</text>'
    yield f'<text x="{_RIGHT + _RADIUS:g}" y="{_DATES:g}" text-anchor="end">{ends[1]}</text>'
    free = (
        _EDGE + len(ends[0]) * _LETTER + _GAP,
        _RIGHT + _RADIUS - len(ends[1]) * _LETTER - _GAP,
    )
    wide = 4 * _LETTER
    years = scale.days / 365.25
    # Every year, every second, every fifth, …: as many as there is room for.
    step = next(n for n in (1, 2, 5, 10, 20, 50) if n == 50 or (_RIGHT - _LEFT) / max(years, 1) * n >= wide + _GAP)
    for year in range(scale.first.year + 1, scale.last.year + 1):
        x = scale(dt.date(year, 1, 1))
        yield f'<path class="rule" d="M{x:.1f} {_AXIS:g}v6"/>'
        if year % step == 0 and free[0] <= x - wide / 2 and x + wide / 2 <= free[1]:
            yield f'<text class="faint" x="{x:.1f}" y="{_DATES:g}" text-anchor="middle">{year}</text>'


def _line(points: Sequence[_Point], looked_between: bool) -> Iterator[str]:
    """Thick where the cell was run, dotted where nobody looked: in colour where it was the same before and after."""
    decided = [point for point in points if point.standing != "unknown"]
    for one, two in pairwise(decided):
        level, other = _LEVELS[one.standing], _LEVELS[two.standing]
        if not looked_between:
            yield _path(one.standing, f"M{one.x:.1f} {level:g}L{two.x:.1f} {other:g}", 2.5, "2 6")
        elif one.standing == two.standing:
            between = "2 6" if two.index > one.index + 1 else ""
            yield _path(one.standing, f"M{one.x:.1f} {level:g}H{two.x:.1f}", 2.5, between)
        elif two.index == one.index + 1:
            yield _path(one.standing, f"M{one.x:.1f} {level:g}H{two.x:.1f}", 6)
            yield _path(two.standing, f"M{two.x:.1f} {level:g}V{other:g}", 2.5)
        else:
            yield _path("unknown", f"M{one.x:.1f} {level:g}L{two.x:.1f} {other:g}", 2.5, "2 6")
    for point in decided if looked_between else ():
        level = _LEVELS[point.standing]
        yield _path(point.standing, f"M{point.x:.1f} {level:g}H{point.until:.1f}", 6)


def _path(known: Standing, path: str, width: float, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path class="{known}" d="{path}" fill="none" stroke-width="{width:g}" stroke-linecap="round"{dashed}/>'


def _marks(story: Story, points: Sequence[_Point]) -> Iterator[str]:
    """Discs with a glyph, those next to the transition and the ends before the others; a dot where there is no
    room, nothing where a disc lies: the ticks of the axis are complete."""
    blame = story.blame
    first = [side.digest for transition in blame.transitions[:1] for side in (transition.before, transition.after)]
    order = [*first, blame.then.digest, blame.now.digest]
    ranked = sorted(
        points, key=lambda p: order.index(p.environment.digest) if p.environment.digest in order else len(order)
    )
    discs: list[_Point] = []
    for point in ranked:
        if all(p.standing != point.standing or abs(p.x - point.x) > 2 * _RADIUS for p in discs):
            discs.append(point)
    # A disc lies over a dot, never under it.
    for point in points:
        if all(p.standing != point.standing or abs(p.x - point.x) > _RADIUS + _DOT / 2 for p in discs):
            yield _titled(
                point, f'<circle class="dot {point.standing}" r="{_DOT}" cx="{point.x:.1f}" cy="{_level(point)}"/>'
            )
    for point in discs:
        yield _titled(point, _disc(point.standing, point.x, _LEVELS[point.standing]))


def _level(point: _Point) -> str:
    return f"{_LEVELS[point.standing]:g}"


def _titled(point: _Point, shape: str) -> str:
    return f"<g><title>{point.environment.recipe.as_of}: {_WORDS[point.standing]}</title>{shape}</g>"


def _disc(known: Standing, x: float, y: float) -> str:
    return (
        f'<circle class="disc {known}" r="{_RADIUS:g}" cx="{x:.1f}" cy="{y:g}"/>'
        f'<path class="glyph" transform="translate({x:.1f} {y:g})" d="{_GLYPHS[known]}"/>'
    )


def _cure(story: Story, scale: _Scale) -> Iterator[str]:
    if story.blame.cure is None:
        return
    now = scale(story.blame.now.recipe.as_of)
    bend = (now + _CURED) / 2
    yield _path(
        "good", f"M{now:.1f} {_BAD:g}C{bend:.1f} {_BAD:g} {bend:.1f} {_GOOD:g} {_CURED:g} {_GOOD:g}", 2.5, "7 6"
    )
    yield f"<g><title>cured: {_text(ranges_text(story.blame.cure.ranges))}</title>{_disc('good', _CURED, _GOOD)}</g>"


def _labels(story: Story, scale: _Scale) -> list[_Label]:
    """The names to place, the most important first."""
    blame = story.blame
    first, *others = blame.transitions or (None,)
    labels = []
    if first is not None:
        labels.append(_name(story, scale, first, _GOOD))
    else:
        labels.append(_Label(_LEFT + 4, blame.kind, "", None))
    if blame.cure is not None:
        cure = f"cure: {ranges_text(blame.cure.ranges)}"
        labels.append(_Label(_CURED, cure, "", _GOOD, ends=True))
    elif blame.kind == "broken":
        labels.append(_Label(WIDTH - _EDGE, remedy(story), "", None, ends=True))
    labels += [_name(story, scale, other, _BAD, "next: ") for other in others if other is not None]
    return [label.cut() for label in labels[:_MOST]]


def _name(story: Story, scale: _Scale, transition: Transition, to: float, before: str = "") -> _Label:
    who = accused(story, transition)
    step = (transition.before if story.blame.kind == "mended" else transition.after).recipe.as_of
    unknown = f"one of {len(who)} packages" if who else "no package"
    name = joined(who) if transition.culprits is not None else unknown
    known = [one.uploaded for one in who if one.uploaded] if transition.culprits is not None else []
    return _Label(scale(step), before + name, str(max(known, default=max(days(transition)))), to)


def _placed(labels: list[_Label]) -> tuple[_Placed, ...]:
    """As many as find room, the least important left out first."""
    while labels:
        if (placed := _place(labels, ())) is not None:
            return placed
        labels = labels[:-1]
    return ()


def _names(placed: Sequence[_Placed]) -> Iterator[str]:
    for one in placed:
        baseline, label = _ROWS[one.row], one.label
        if label.to is not None:
            yield f'<line class="lead" x1="{label.x:.1f}" y1="{baseline + 7:g}" x2="{label.x:.1f}" y2="{label.to:g}"/>'
        # Drawn from the side that is held, so that a narrower font than reckoned with stays at its line. Not every
        # program can draw a text of two kinds from its end.
        faint = _text(label.faint)
        if _from_end(one):
            said, anchor, x = f"{_text(label.name)} {faint}".strip(), "end", one.end
        else:
            tail = f' <tspan class="faint">{faint}</tspan>' if faint else ""
            said, anchor, x = _text(label.name) + tail, "start", one.start
        yield f'<text class="name" x="{x:.1f}" y="{baseline:g}" text-anchor="{anchor}">{said}</text>'


def _from_end(placed: _Placed) -> bool:
    return placed.label.x - placed.start > placed.label.width / 2


def _place(labels: Sequence[_Label], placed: tuple[_Placed, ...]) -> tuple[_Placed, ...] | None:
    """Every label in a row with none in another's way, or None."""
    if not labels:
        return placed
    for row in range(len(_ROWS)):
        for start in _starts(labels[0]):
            here = _Placed(labels[0], row, start)
            if not any(here.hinders(other) for other in placed):
                found = _place(labels[1:], (*placed, here))
                if found is not None:
                    return found
    return None


def _starts(label: _Label) -> Iterator[float]:
    """Where it may begin: to the right of its line, to the left of it, or as far as the picture allows."""
    last = WIDTH - _EDGE - label.width
    wanted = [last] if label.ends else [label.x - 4, label.x + 4 - label.width]
    for start in (*wanted, min(max(label.x - 4, _EDGE), last), min(max(label.x + 4 - label.width, _EDGE), last)):
        if _EDGE <= start <= last + 0.01:
            yield start


def _text(text: str) -> str:
    return escape(_FORBIDDEN.sub("", text), {'"': "&quot;"})
