"""Evidence: the findings of past runs on cells, models and converters, in a form that loads quickly."""

from matrix.answers.evidence.records import Entry, Evidence, Profile, ProfileKey
from matrix.answers.evidence.stored import (
    EvidenceSource,
    gather,
    keep,
    look_up,
    profiles_read,
    read,
    recorded,
    source_of,
)

__all__ = [
    "Entry",
    "Evidence",
    "EvidenceSource",
    "Profile",
    "ProfileKey",
    "gather",
    "keep",
    "look_up",
    "profiles_read",
    "read",
    "recorded",
    "source_of",
]
