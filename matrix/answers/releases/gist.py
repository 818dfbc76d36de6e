"""A resolver's explanation in one line."""

from __future__ import annotations

import re

_SECTION = re.compile(r"^Python ([\d., ]+):$", re.MULTILINE)
_BECAUSE = re.compile(r"Because (.*?)(?:, we can conclude that|$)")
_CHOICES = re.compile(r"depends on one of: (\S+)(?: \S+)* (\S+) and ")
# Says more about a Python than about the row.
_OF_A_PYTHON = re.compile(
    r"ABI tag|no usable wheels|no wheels|Requires-Python|the (?:current|requested) Python version"
)
_LONGEST = 240


def gist(explanation: str) -> str:
    """What stands in the way, with the Pythons it holds for: of the refusals that a lock's explanation groups by
    Python, the first that is not about wheels for that Python, or else the first."""
    pieces = _SECTION.split(explanation)
    refusals = [(python, _cause(text)) for python, text in zip(pieces[1::2], pieces[2::2], strict=True)]
    if not refusals:
        return _shortened(_cause(explanation))
    python, cause = next((item for item in refusals if not _OF_A_PYTHON.search(item[1])), refusals[0])
    return _shortened(f"Python {python}: {cause}")


def _cause(text: str) -> str:
    flat = " ".join(text.split())
    found = _BECAUSE.search(flat)
    return _CHOICES.sub(r"depends on one of \1 … \2 and ", found[1] if found else flat)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"
