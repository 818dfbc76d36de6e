"""Families: the converter programs of rows, and what is specific to each of them."""

from matrix.families.family import Family
from matrix.families.registry import KNOWN, Absent, family_named, family_of, find_family, in_order

__all__ = ["KNOWN", "Absent", "Family", "family_named", "family_of", "find_family", "in_order"]
