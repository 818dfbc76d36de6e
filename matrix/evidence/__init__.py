"""What is known of cells, models and converters from past runs, in a form that is quick to read."""

from matrix.evidence.known import Entry, Evidence, Profile
from matrix.evidence.stored import Source, keep, read

__all__ = ["Entry", "Evidence", "Profile", "Source", "keep", "read"]
