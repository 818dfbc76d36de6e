"""Evidence: the findings of past runs on cells, models and converters, in a form that loads quickly.

This package exports plain data only. `matrix.answers.evidence.stored` derives it and reads it back from the store.
"""

from matrix.answers.evidence.records import Entry, Evidence, Profile, ProfileKey

__all__ = ["Entry", "Evidence", "Profile", "ProfileKey"]
