"""What the user can mend."""

from __future__ import annotations


class Mistake(Exception):
    """One sentence: what is wrong and what to do."""
