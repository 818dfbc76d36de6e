"""Config and locks in, plan out: no network, no clock, no disk."""

from matrix.planning.cells import Cell, Selection
from matrix.planning.plan import Plan, make_plan
from matrix.planning.variants import with_pins

__all__ = ["Cell", "Plan", "Selection", "make_plan", "with_pins"]
