"""Every error that ends the program, each owning the exit code documented in the README.

A new exit code belongs here and in the README's table; a test holds the two against each other.
"""

from __future__ import annotations

from typing import ClassVar


class MatrixError(Exception):
    """Base of all errors a user may meet; the message says what happened and what to do next."""

    exit_code: ClassVar[int] = 1


class UsageError(MatrixError):
    """An option or argument that cannot be understood."""

    exit_code = 2


class ConfigError(MatrixError):
    """matrix.yml is wrong; the message begins with file:line:column."""

    exit_code = 3


class NothingSelected(MatrixError):
    """The selection leaves no cell."""

    exit_code = 4


class UnexpectedVerdicts(MatrixError):
    """A finding differs from what matrix.yml expects of that cell."""

    exit_code = 5


class EngineUnavailable(MatrixError):
    """The engine asked for does not work on this machine."""

    exit_code = 6


class Indeterminate(MatrixError):
    """Some cells could not be measured for reasons that say nothing about the toolchain (network, disk, engine)."""

    exit_code = 7


class StateInUse(MatrixError):
    """Another driver holds the same --state folder."""

    exit_code = 8


class LockStale(MatrixError):
    """--locked was given and a committed lock is missing or belongs to an older form of its row."""

    exit_code = 9


class RunsDiffer(MatrixError):
    """Two runs that were compared do not say the same."""

    exit_code = 10


class Unsatisfiable(MatrixError):
    """No set of packages fulfils the pins an image was asked for; the message is the resolver's explanation."""

    exit_code = 11


class Unrecognised(MatrixError):
    """`explain` was given a text that no signature fits."""

    exit_code = 12


class NoPicture(MatrixError):
    """A cell that gives no picture: nothing was converted, or the model does not turn an image into an image."""

    exit_code = 13


class ModelUnusable(MatrixError):
    """A model that was named on the command line can be neither exported nor converted, for reasons of its own."""

    exit_code = 14


class NothingProven(MatrixError):
    """`pick` found no toolchain within the constraints that was seen to convert the model."""

    exit_code = 15


class NewReleases(MatrixError):
    """`update --check` found a release that the table does not know and that could be a row."""

    exit_code = 16


class NoCure(MatrixError):
    """`blame` found no ranges with which today's resolution works again."""

    exit_code = 17


class Regressed(MatrixError):
    """A cell that matched before does not match any more (`compare`)."""

    exit_code = 18


class Interrupted(MatrixError):
    """Ctrl-C: what had finished is stored, `run` again continues."""

    exit_code = 130


ALL: tuple[type[MatrixError], ...] = (
    MatrixError,
    UsageError,
    ConfigError,
    NothingSelected,
    UnexpectedVerdicts,
    EngineUnavailable,
    Indeterminate,
    StateInUse,
    LockStale,
    RunsDiffer,
    Unsatisfiable,
    Unrecognised,
    NoPicture,
    ModelUnusable,
    NothingProven,
    NewReleases,
    NoCure,
    Regressed,
    Interrupted,
)
