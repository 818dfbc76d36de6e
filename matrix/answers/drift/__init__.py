"""What time did to a row: its lock then and now, what the index did meanwhile, and which verdicts changed. Pure, but
for `gather`, which reads the store and asks the index.
"""

from matrix.answers.drift.changes import LockChanges, lock_changes
from matrix.answers.drift.incidents import KINDS, Incident, Kind, incidents
from matrix.answers.drift.report import RowDrift, VerdictChange, row_drift
from matrix.history.then_and_now import DriftStanding, drift_standing

__all__ = [
    "KINDS",
    "DriftStanding",
    "Incident",
    "Kind",
    "LockChanges",
    "RowDrift",
    "VerdictChange",
    "drift_standing",
    "incidents",
    "lock_changes",
    "row_drift",
]
