"""Draw a blame as a timeline: a line that steps down where the cell broke, with the culprit's name above the step.

The chart is a Vega-Lite specification, drawn as an SVG file that needs nothing else. Height and marks show good and
bad, so that colour is not needed. No text is measured, so that installed fonts do not change the result.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from xml.sax.saxutils import escape

from matrix.answers.blame.report import BlameReport, Standing, days, ranges_text, standing, suspects
from matrix.answers.blame.text import answer, joined, remedy
from matrix.answers.blame.types import Resolved
from matrix.core.text import for_xml

# Pixels: the plot and its margins, marks, rows of text with the widest that a bold letter is in a common font, and
# where texts may begin and end and the cure is, from the plot's left side.
_LEFT, _WIDTH, _RIGHT, _HEIGHT, _BOTTOM = 92, 660, 148, 92, 70
_DISC, _DOT, _ROW, _SIZE, _LETTER = 24, 10, 30, 20, 14
_START, _END, _CURED = -80, 796, 750

_FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, DejaVu Sans, sans-serif"
_PAPER, _INK, _FAINT, _GRID, _GREEN, _RED, _GREY = (
    "#ffffff", "#1f2328", "#59636e", "#d1d9e0", "#1a7f37", "#cf222e", "#6e7781"
)  # fmt: skip
_DARK = {
    _PAPER: "#0d1117", _INK: "#e6edf3", _FAINT: "#9198a1", _GRID: "#30363d",
    _GREEN: "#3fb950", _RED: "#ff7b72", _GREY: "#9198a1",
}  # fmt: skip
_COLOURS: dict[Standing, str] = {"good": _GREEN, "bad": _RED, "unknown": _GREY}
_WORDS: dict[Standing, str] = {"good": "matches", "bad": "fails", "unknown": "could not be measured"}
_LEVELS: dict[Standing, float] = {"good": 1, "unknown": 0.5, "bad": 0}
_AXIS = -0.6
# ✓, ✕ and ? as paths, because not every font has them.
_GLYPHS: dict[Standing, str] = {
    "good": "M-.46 .04L-.14 .38L.46 -.33",
    "bad": "M-.36 -.36L.36 .36M.36 -.36L-.36 .36",
    "unknown": "M-.27 -.28A.27 .27 0 1 1 0 .03L0 .17M0 .47L0 .475",
}

Values = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class _Name:
    """A text above the plot, from `start` to `end`, with a dotted line down to `level` at `x` (None: no line)."""

    text: str
    x: float
    level: float | None
    start: float
    end: float


def picture(report: BlameReport) -> str:
    """Return the timeline as SVG."""
    import vl_convert

    first, span = report.blame.then.recipe.as_of, _span(report)
    years = {"interval": "year", "step": math.ceil(span / 365.25 / 9)}
    domain = [_time(first), _time(first + dt.timedelta(days=span))]
    names = _rows([*_names(report)][:5])
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "autosize": "none",
        "width": _WIDTH,
        "height": _HEIGHT,
        "padding": {"left": _LEFT, "right": _RIGHT, "top": max(row for _, row in names) + _ROW, "bottom": _BOTTOM},
        "background": _PAPER,
        "config": {
            "font": _FONT,
            "view": {"stroke": None},
            "axis": {
                "title": None,
                "labelFontSize": _SIZE,
                "labelColor": _FAINT,
                "tickColor": _FAINT,
                "domainColor": _FAINT,
            },
            "axisX": {"grid": False, "format": "%Y", "tickCount": years, "labelOverlap": False},
            "axisY": {"gridColor": _GRID, "domain": False, "ticks": False, "labelPadding": _DISC},
            "point": {"opacity": 1, "stroke": _PAPER, "strokeWidth": 2.4, "strokeCap": "round"},
            "rule": {"strokeCap": "round", "aria": False},
            "text": {"fontSize": _SIZE, "color": _INK, "baseline": "alphabetic", "aria": False},
        },
        "encoding": {
            "x": {"field": "x", "type": "temporal", "scale": {"type": "utc", "domain": domain, "clamp": True}},
            "y": {
                "field": "y",
                "type": "quantitative",
                "scale": {"domain": [_AXIS, 1], "nice": False},
                "axis": {"values": [0, 1], "labelExpr": "datum.value ? 'works' : 'fails'"},
            },
        },
        "layer": [*_timeline(report), *_texts(report, names)],
    }
    dark = "".join(f'[fill="{one}"]{{fill:{two}}}[stroke="{one}"]{{stroke:{two}}}' for one, two in _DARK.items())
    head = (
        f"<title>{escape(for_xml(answer(report)))}</title><desc>{escape(for_xml(report.cell))}</desc><style>"
        f"text{{paint-order:stroke;stroke-width:6px;stroke-linejoin:round;stroke:{_PAPER}}}"
        f"@media (prefers-color-scheme:dark){{text{{stroke:{_DARK[_PAPER]}}}{dark}}}</style>"
    )
    return vl_convert.vegalite_to_svg(spec).replace(">", f">{head}", 1) + "\n"


def _layer(values: Values, mark: str, encoding: Mapping[str, object] | None = None, **style: object) -> dict[str, Any]:
    return {"data": {"values": values}, "mark": {"type": mark, **style}, "encoding": encoding or {}}


def _timeline(report: BlameReport) -> Iterator[dict[str, Any]]:
    """Yield ticks of all distinct environments, line and marks of those in which the cell was run, and the cure."""
    blame = report.blame
    known = {environment.recipe.as_of: environment for environment in (blame.now, blame.then, *blame.timeline)}
    members = [known[day] for day in sorted(known)]
    # One path, interrupted after each tick.
    ticks = [
        {"x": _time(member.recipe.as_of), "y": y, "order": 3 * i + j}
        for i, member in enumerate(members)
        for j, y in enumerate((_AXIS, _AXIS + 0.16, None))
    ]
    order = {"order": {"field": "order", "type": "quantitative"}}
    about = f"{len(members)} distinct environments"
    yield _layer(ticks, "line", order, color=_FAINT, strokeWidth=1, description=about)
    run = [(i, member, found) for i, member in enumerate(members) if (found := standing(blame, member)) is not None]
    line = [*_line(members, [(i, found) for i, _, found in run if found != "unknown"], bool(blame.timeline))]
    for dash in ([2, 6], None):
        segments = [segment for segment in line if segment["dotted"] == bool(dash)]
        width = {"strokeWidth": {"field": "width", "type": "quantitative", "scale": None}}
        ends = {"x2": {"field": "x2"}, "y2": {"field": "y2"}, "color": _by_standing(_COLOURS)}
        yield _layer(segments, "rule", {**ends, **width}, **({"strokeDash": dash} if dash else {}))
    sides = [side for transition in blame.transitions[:1] for side in (transition.before, transition.after)]
    large = {end.digest for end in (*sides, blame.then, blame.now)}
    marks = [
        {
            "x": _time(member.recipe.as_of),
            "y": _LEVELS[found],
            "standing": found,
            "said": f"{member.recipe.as_of}: {_WORDS[found]}",
            "large": member.digest in large,
        }
        for _, member, found in run
    ]
    if blame.cure is not None:
        end = {"x2": {"value": _CURED}, "y2": {"datum": 1}}
        now = [{"x": _time(blame.now.recipe.as_of), "y": 0}]
        yield _layer(now, "rule", end, color=_GREEN, strokeWidth=2.5, strokeDash=[7, 6])
        cured = {"y": 1, "standing": "good", "said": f"cured: {for_xml(ranges_text(blame.cure.ranges))}"}
        yield from _marks([cured], _DISC, {"x": {"value": _CURED}})
    yield from _marks([mark for mark in marks if not mark["large"]], _DOT)
    for mark in marks:
        # Each by itself, so that a disc covers the glyph of the one under it.
        if mark["large"]:
            yield from _marks([mark], _DISC)


def _line(
    members: Sequence[Resolved], decided: Sequence[tuple[int, Standing]], looked_between: bool
) -> Iterator[dict[str, Any]]:
    """Yield segments: thick where the cell was run, dotted where it was not, in colour where both ends agree."""

    def segment(at: int, known: Standing, to: int, then: Standing, colour: Standing, width: float) -> dict[str, Any]:
        days_ = {"x": _time(members[at].recipe.as_of), "x2": _time(members[to].recipe.as_of)}
        levels = {"y": _LEVELS[known], "y2": _LEVELS[then]}
        return {**days_, **levels, "standing": colour, "width": width, "dotted": not looked_between or to > at + 1}

    for (i, one), (j, two) in pairwise(decided):
        colour: Standing = one if one == two or not looked_between else two if j == i + 1 else "unknown"
        if looked_between and j == i + 1:
            yield segment(j, one, j, two, colour, 2.5)
        else:
            yield segment(i, one, j, two, colour, 2.5)
    for i, one in decided if looked_between else ():
        yield segment(i, one, min(i + 1, len(members) - 1), one, one, 6)


def _marks(values: Values, size: int, place: Mapping[str, object] | None = None) -> Iterator[dict[str, Any]]:
    """Yield a disc for each value, and on large ones its glyph."""
    disc = {"color": _by_standing(_COLOURS), "description": {"field": "said"}, **(place or {})}
    yield _layer(values, "point", disc, size=size * size, filled=True, shape="circle")
    if size == _DISC:
        glyph = {"shape": _by_standing(_GLYPHS), **(place or {})}
        yield _layer(values, "point", glyph, size=size * size, filled=False, aria=False)


def _by_standing(values: Mapping[Standing, str]) -> dict[str, Any]:
    scale = {"domain": list(values), "range": list(values.values())}
    return {"field": "standing", "type": "nominal", "scale": scale, "legend": None}


def _names(report: BlameReport) -> Iterator[_Name]:
    """Yield the names, the most important first."""
    blame = report.blame
    cure = []
    if blame.cure is not None:
        cure = [_name(f"cure: {ranges_text(blame.cure.ranges)}", _CURED, 1)]
    elif blame.kind == "broken":
        cure = [_name(remedy(report), _CURED)]
    if not blame.transitions:
        yield from (_name(blame.kind, 0), *cure)
    for number, transition in enumerate(blame.transitions):
        step = (transition.before if blame.kind == "mended" else transition.after).recipe.as_of
        who = suspects(report, transition)
        name, uploads = f"one of {len(who)} packages" if who else "no package", list[dt.date]()
        if transition.culprits is not None:
            name, uploads = joined(who), [one.uploaded for one in who if one.uploaded]
        x = _WIDTH * min(max((step - blame.then.recipe.as_of).days / _span(report), 0), 1)
        day = f" {max(uploads, default=max(days(transition)))}"
        if number == 0:
            yield from (_name(name, x, 1, day), *cure)
        else:
            yield _name(f"next: {name}", x, 0, day)


def _name(name: str, x: float, level: float | None = None, day: str = "") -> _Name:
    """Cut the name to what fits, and put it beside its line if there is room, else at the right end."""
    most = (_END - _START) // _LETTER - len(day)
    text = for_xml(name if len(name) <= most else f"{name[: most - 1]}…") + day
    length = len(text) * _LETTER
    if x + length <= _END:
        return _Name(text, x, level, x, x + length)
    end = x if _START + length <= x <= _WIDTH else _END
    return _Name(text, x, level, end - length, end)


def _rows(names: Sequence[_Name]) -> list[tuple[_Name, int]]:
    """Return every name with its height above the plot, at which it overlaps no other name."""
    placed: list[tuple[_Name, int]] = []
    for name in names:
        taken = {row for other, row in placed if name.start < other.end + _LETTER and other.start < name.end + _LETTER}
        placed.append((name, next(row for row in range(_DISC, 999, _ROW) if row not in taken)))
    return placed


def _texts(report: BlameReport, names: Sequence[tuple[_Name, int]]) -> Iterator[dict[str, Any]]:
    """Yield the names above their lines, and the first and the last day below the axis."""
    for name, row in names:
        if name.level is not None:
            line = {"x": name.x, "y": 4 - row, "y2": _HEIGHT * (1 - name.level) / (1 - _AXIS)}
            yield _layer([{}], "rule", _fixed(line), color=_FAINT, strokeDash=[2, 4])
    for name, row in names:
        # Anchored at its line, so that it stays there in a narrower font.
        x, align = (name.start, "left") if name.start == name.x else (name.end, "right")
        yield _layer([{}], "text", _fixed({"x": x, "y": -row}), align=align, fontWeight=600, text=name.text)
    below = {"y": _HEIGHT + _BOTTOM - 12}
    then, now = (f"{word} {end.recipe.as_of}" for word, end in (("then", report.blame.then), ("now", report.blame.now)))
    yield _layer([{}], "text", _fixed({"x": _START, **below}), align="left", text=then)
    yield _layer([{}], "text", _fixed({"x": _WIDTH + 12, **below}), align="right", text=now)


def _fixed(pixels: Mapping[str, float]) -> dict[str, Any]:
    return {channel: {"value": pixel} for channel, pixel in pixels.items()}


def _span(report: BlameReport) -> int:
    return max((report.blame.now.recipe.as_of - report.blame.then.recipe.as_of).days, 1)


def _time(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days * 86_400_000
