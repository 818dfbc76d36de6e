"""The driver: from the compatibility table in matrix.yml to verdicts a person can act on."""

__version__ = "0.1.0"
