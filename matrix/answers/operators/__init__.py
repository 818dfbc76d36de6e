"""Operator coverage: what a converter makes of the backend test cases that its own onnx package ships.

Here only what is plain data, quick to import: `matrix.answers.operators.kept` reads it back from the store.
"""

from matrix.answers.operators.summary import CaseResult, Coverage, Support

__all__ = ["CaseResult", "Coverage", "Support"]
