"""What time did to a row: its lock then and now, what the index did meanwhile, and which verdicts changed. Pure, but
for `gather`, which reads the store and asks the index.
"""

from matrix.drift.changes import LockChanges, lock_changes
from matrix.drift.incidents import KINDS, Incident, Kind, incidents
from matrix.drift.report import RowDrift, VerdictChange, row_drift
from matrix.drift.standing import Standing, standing

__all__ = [
    "KINDS",
    "Incident",
    "Kind",
    "LockChanges",
    "RowDrift",
    "Standing",
    "VerdictChange",
    "incidents",
    "lock_changes",
    "row_drift",
    "standing",
]
