"""What every cell came to, run by run, and what changed between them."""

from matrix.history.conclusions import Conclusion, conclusion_of
from matrix.history.reading import read_history
from matrix.history.timelines import CellChange, History, Kind, Regression, Timeline

__all__ = [
    "CellChange",
    "Conclusion",
    "History",
    "Kind",
    "Regression",
    "Timeline",
    "conclusion_of",
    "read_history",
]
