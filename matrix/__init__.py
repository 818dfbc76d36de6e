"""The driver: from the compatibility table in matrix.yml to verdicts and a pinned toolchain."""

__version__ = "0.1.0"
