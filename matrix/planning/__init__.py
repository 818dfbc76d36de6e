"""Turn a table and locks into a plan, without network, clock or disk."""

from matrix.planning.cells import Cell, Selection
from matrix.planning.plan import Plan, make_plan
from matrix.planning.variants import with_pins

__all__ = ["Cell", "Plan", "Selection", "make_plan", "with_pins"]
