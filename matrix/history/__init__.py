"""The conclusion on every cell, run by run, and what changed between runs."""

from matrix.history.reading import read_history
from matrix.history.timelines import CellChange, CellChangeKind, Conclusion, History, Regression, Timeline

__all__ = [
    "CellChange",
    "CellChangeKind",
    "Conclusion",
    "History",
    "Regression",
    "Timeline",
    "read_history",
]
