"""The conclusion on every cell, run by run, and what changed between runs."""

from matrix.history.reading import read_history
from matrix.history.regressions import CellChange, CellChangeKind, History, Regression
from matrix.history.timelines import Conclusion, Timeline

__all__ = [
    "CellChange",
    "CellChangeKind",
    "Conclusion",
    "History",
    "Regression",
    "Timeline",
    "read_history",
]
