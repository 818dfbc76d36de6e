"""Families: the converter programs that rows are made of, and what only each of them knows."""

from matrix.families.family import Family
from matrix.families.registry import KNOWN, Absent, family_named, family_of, find_family, in_order

__all__ = ["KNOWN", "Absent", "Family", "family_named", "family_of", "find_family", "in_order"]
