"""Badges with the share of findings of a row that match: as SVG, and as data for shields.io's endpoint badge
(https://shields.io/badges/endpoint-badge)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

# Wide enough for DejaVu Sans, the widest of the fonts in question; textLength stretches narrower ones.
_LETTER = 6.6
_PADDING = 6.0

# The contrast of each with white is at least 4.5.
_COLOURS = {"good": "#1a7f37", "some": "#8a6100", "none": "#b62324", "unknown": "#57606a"}
_LABEL_COLOUR = "#3d444d"


@dataclass(frozen=True)
class Badge:
    """The label on the left, the matches of the findings on the right."""

    label: str
    match: int
    findings: int

    @property
    def message(self) -> str:
        return f"{self.match}/{self.findings} match" if self.findings else "not measured"

    @property
    def colour(self) -> str:
        if not self.findings:
            return _COLOURS["unknown"]
        return _COLOURS["good" if self.match == self.findings else "some" if self.match else "none"]

    def endpoint(self) -> str:
        """Return the JSON for shields.io."""
        found = {"schemaVersion": 1, "label": self.label, "message": self.message, "color": self.colour}
        return json.dumps(found, ensure_ascii=False, sort_keys=True) + "\n"

    def svg(self) -> str:
        """Return the picture."""
        parts = [(self.label, _LABEL_COLOUR), (self.message, self.colour)]
        widths = [round(len(text) * _LETTER + 2 * _PADDING, 1) for text, _ in parts]
        total = round(sum(widths), 1)
        title = f"{self.label}: {self.message}"
        shapes, texts, left = [], [], 0.0
        for (text, colour), width in zip(parts, widths, strict=True):
            shapes.append(f'<rect x="{left:g}" width="{width:g}" height="20" fill="{colour}"/>')
            middle = round(left + width / 2, 1)
            texts.append(
                f'<text x="{middle:g}" y="14" textLength="{width - 2 * _PADDING:g}" lengthAdjust="spacingAndGlyphs">'
                f"{escape(text)}</text>"
            )
            left += width
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{total:g}" height="20" viewBox="0 0 {total:g} 20" '
            f'role="img" aria-label={quoteattr(title)}><title>{escape(title)}</title>{"".join(shapes)}'
            '<g fill="#ffffff" text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" '
            f'font-size="11">{"".join(texts)}</g></svg>\n'
        )
