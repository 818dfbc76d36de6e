"""Drift: how a row's lock and verdicts changed between then and now, and what happened on the index meanwhile.

Pure, except for `gather`, which reads the store and asks the index.
"""

from matrix.answers.drift.changes import LockChanges, lock_changes
from matrix.answers.drift.incidents import KINDS, Incident, Kind, incidents
from matrix.answers.drift.report import RowDrift, VerdictChange, row_drift
from matrix.history.standing import Standing, standing

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
