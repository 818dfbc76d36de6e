"""The errors that end the program, each with the exit code documented in the README.

A new exit code belongs here and in the README's table; a test compares the two.
"""

from __future__ import annotations

from typing import ClassVar


class MatrixError(Exception):
    """Base of all errors shown to a user; the message says what failed, then what to do."""

    exit_code: ClassVar[int] = 1


class UsageError(MatrixError):
    """An option or argument is invalid."""

    exit_code = 2


class ConfigError(MatrixError):
    """matrix.yml is wrong; the message begins with file:line:column."""

    exit_code = 3


class NothingSelected(MatrixError):
    """The selection contains no cell."""

    exit_code = 4


class UnexpectedVerdicts(MatrixError):
    """A finding differs from the one that matrix.yml expects."""

    exit_code = 5


class EngineUnavailable(MatrixError):
    """The requested engine does not work on this machine."""

    exit_code = 6


class Indeterminate(MatrixError):
    """Some cells could not be measured, for reasons other than the toolchain (network, disk, engine)."""

    exit_code = 7


class StateInUse(MatrixError):
    """Another driver is using the same --state folder."""

    exit_code = 8


class LockStale(MatrixError):
    """--locked was given, and a committed lock is missing or is of an older form of its row."""

    exit_code = 9


class RunsDiffer(MatrixError):
    """Two compared runs have different findings."""

    exit_code = 10


class Unsatisfiable(MatrixError):
    """No set of packages satisfies the pins of an image; the message is the resolver's explanation."""

    exit_code = 11


class Unrecognised(MatrixError):
    """`explain` was given a text that matches no signature."""

    exit_code = 12


class NoPicture(MatrixError):
    """A cell has no picture: nothing was converted, or the model does not map an image to an image."""

    exit_code = 13


class ModelUnusable(MatrixError):
    """A model named on the command line can be neither exported nor converted, because of the model itself."""

    exit_code = 14


class NothingProven(MatrixError):
    """`pick` found no toolchain within the constraints that converts the model."""

    exit_code = 15


class NewReleases(MatrixError):
    """`update --check` found a release that is not in the table and could become a row."""

    exit_code = 16


class NoCure(MatrixError):
    """`blame` found no version ranges that make today's resolution work again."""

    exit_code = 17


class Regressed(MatrixError):
    """A cell that matched before no longer matches (`compare`)."""

    exit_code = 18


class Interrupted(MatrixError):
    """Ctrl-C: finished work is stored, and `run` continues from there."""

    exit_code = 130


# Defined here, not in other modules: each of these has a line in the README's table.
ALL: tuple[type[MatrixError], ...] = (MatrixError, *MatrixError.__subclasses__())
