"""Where the parts of this installation lie."""

from __future__ import annotations

from pathlib import Path

CONVERTER = Path(__file__).resolve().parent.parent / "converter"
