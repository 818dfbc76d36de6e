"""Operator coverage: which backend test cases of its own onnx package a converter passes.

This package imports quickly and exports plain data only. `matrix.answers.operators.stored` reads coverage from the
store, and judges it where that has not been done yet.
"""

from matrix.answers.operators.coverage import CaseResult, Coverage, History, Numbering, Support, Use, since, uses

__all__ = ["CaseResult", "Coverage", "History", "Numbering", "Support", "Use", "since", "uses"]
