"""What is known of cells, models and converters from past runs, in a form that is quick to read."""

from matrix.answers.evidence.known import Entry, Evidence, Profile, ProfileKey
from matrix.answers.evidence.stored import EvidenceSource, keep, profiles_read, read, recorded, source_of

__all__ = [
    "Entry",
    "Evidence",
    "EvidenceSource",
    "Profile",
    "ProfileKey",
    "keep",
    "profiles_read",
    "read",
    "recorded",
    "source_of",
]
