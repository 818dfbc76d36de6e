"""The sheet: panels on a grid with captions, as one picture.

Sizes are in pixels of the sheet. The font is Pillow's own: it needs no font on the machine but has little beyond ASCII.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageDraw, ImageFont

from matrix.outputs.picture.panels import Colour, Colours

# The longer side of a panel, for any size of the network's image.
PANEL = 256
MARGIN = 32
GAP = 18

_LABEL = 150  # left of a row
_TITLE, _HEADING, _TEXT = 26, 18, 15
_LINE = 1.45
_LINES = 3  # of caption below every panel

_PAPER: Colour = (255, 255, 255)
_INK: Colour = (24, 24, 24)
_FAINT: Colour = (96, 96, 96)
_FRAME: Colour = (190, 190, 190)


@dataclass(frozen=True)
class Panel:
    """One picture of the grid, H x W x 3, with `captions` below it, each after a square of its colour if it has one."""

    pixels: Colours
    captions: tuple[tuple[str, Colour | None], ...] = ()
    heading: str = ""


@dataclass(frozen=True)
class Sheet:
    """Rows of panels under a title; all panels have the same ratio, all rows the same number of panels."""

    title: str
    subtitles: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Panel]]]
    _fonts: dict[int, ImageFont.FreeTypeFont | ImageFont.ImageFont] = field(default_factory=dict, repr=False)

    @property
    def panel_size(self) -> tuple[int, int]:
        """Width, height of every panel."""
        high, wide = self.rows[0][1][0].pixels.shape[:2]
        scale = PANEL / max(high, wide)
        return max(1, round(wide * scale)), max(1, round(high * scale))

    @property
    def size(self) -> tuple[int, int]:
        """Width, height of the sheet."""
        columns = len(self.rows[0][1])
        wide = self._column(columns - 1) + self.panel_size[0] + MARGIN
        return wide, self._row(len(self.rows)) - GAP + MARGIN

    def place(self, row: int, column: int) -> tuple[int, int]:
        """Left, top of a panel."""
        return self._column(column), self._row(row) + _high(_HEADING)

    def draw(self) -> Image.Image:
        """Return the sheet as RGB."""
        sheet = Image.new("RGB", self.size, _PAPER)
        drawing = ImageDraw.Draw(sheet)
        room = self.size[0] - 2 * MARGIN
        self._write(drawing, (MARGIN, MARGIN), self.title, _TITLE, room)
        for number, line in enumerate(self.subtitles):
            top = MARGIN + _high(_TITLE) + number * _high(_HEADING)
            self._write(drawing, (MARGIN, top), line, _HEADING, room, _FAINT)
        for row, (label, panels) in enumerate(self.rows):
            middle = self.place(row, 0)[1] + self.panel_size[1] // 2 - _high(_HEADING) // 2
            self._write(drawing, (MARGIN, middle), label, _HEADING, _LABEL - GAP)
            for column, panel in enumerate(panels):
                self._panel(sheet, drawing, panel, *self.place(row, column))
        return sheet

    def _panel(self, sheet: Image.Image, drawing: ImageDraw.ImageDraw, panel: Panel, left: int, top: int) -> None:
        wide, high = self.panel_size
        # Nearest, so that the network's own pixels are visible.
        sheet.paste(Image.fromarray(panel.pixels).resize((wide, high), Image.Resampling.NEAREST), (left, top))
        drawing.rectangle((left - 1, top - 1, left + wide, top + high), outline=_FRAME)
        self._write(drawing, (left, top - _high(_HEADING)), panel.heading, _HEADING, wide)
        for number, (text, colour) in enumerate(panel.captions[:_LINES]):
            x, y = left, top + high + 6 + number * _high(_TEXT)
            if colour is not None:
                drawing.rectangle((x, y + 3, x + _TEXT - 3, y + _TEXT), fill=colour, outline=_FAINT)
                x += _TEXT + 5
            self._write(drawing, (x, y), text, _TEXT, left + wide - x, _FAINT)

    def _write(
        self, drawing: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, room: int, ink: Colour = _INK
    ) -> None:
        """Write one line, cut off if it needs more than `room`."""
        font = self._font(size)
        line = known(text)
        if drawing.textlength(line, font) > room:
            lengths = range(1, len(line) + 1)
            kept = bisect_right(lengths, float(room), key=lambda length: drawing.textlength(line[:length] + "…", font))
            line = line[:kept] + "…"
        drawing.text(place, line, ink, font)

    def _font(self, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        if size not in self._fonts:
            self._fonts[size] = ImageFont.load_default(size)
        return self._fonts[size]

    def _column(self, column: int) -> int:
        return MARGIN + _LABEL + column * (self.panel_size[0] + GAP)

    def _row(self, row: int) -> int:
        top = MARGIN + _high(_TITLE) + len(self.subtitles) * _high(_HEADING) + GAP
        return top + row * (_high(_HEADING) + self.panel_size[1] + 6 + _LINES * _high(_TEXT) + GAP)


def as_png(picture: Image.Image) -> bytes:
    """Return the content of a PNG file."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def known(text: str) -> str:
    """Return the text with `?` for letters that the font does not have."""
    return "".join(letter if letter.isascii() or letter in "·…" else "?" for letter in text)


def _high(size: int) -> int:
    return round(size * _LINE)
