"""The table of job types. A new type needs one entry here, and its pass in converter/."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from matrix.store.records import Pass
from matrix.table.model import Role

# The folder handed from one pass of a job to the next. It is not kept: a rerun makes it again.
CARRIED = "saved"


@dataclass(frozen=True)
class Take:
    """A file that a job is given in its folder. `of` is the file that the job before it left, '' for none."""

    file: str
    of: str = ""


# The inputs of the model; the files that its factory needs; the user's .onnx file and the files beside it.
INPUTS, FACTORY, FILE = Take("inputs.npz"), Take("source"), Take("given")
_MODEL = Take("model.onnx", "model.onnx")
# The outputs of the model itself, computed twice.
_NUMBERS = ("torch.npz", "torch-again.npz")
_OUTPUTS = tuple(Take(name, name) for name in _NUMBERS)


@dataclass(frozen=True)
class JobType:
    """A type of job. Each of its `passes` is the work of one worker; () where the converter's family defines them.
    `takes` are the files it is given, those of the job before it only where there is one; one job of a type in `after`
    must have ended well before it. `is_source`: cells begin with it."""

    kind: str
    role: Role
    passes: tuple[Pass, ...] = ()
    takes: tuple[Take, ...] = ()
    after: tuple[str, ...] = ()
    is_source: bool = False


def _stage(name: str, *leaves: str) -> tuple[Pass, ...]:
    return (Pass(f"converter.stages.{name}", leaves),)


_READING = ("export", "inspect", "alter")
_TABLE = (
    JobType("forward", "exporter", _stage("forward", *_NUMBERS), (INPUTS, FACTORY), is_source=True),
    # A user's export runs the model itself; others take what `forward` computed once for all of them.
    JobType(
        *("export", "exporter", _stage("export", *_NUMBERS, "model.onnx"), (INPUTS, FACTORY, *_OUTPUTS), ("forward",)),
        is_source=True,
    ),
    # The second pass chooses inputs for what the file leaves open.
    JobType(
        *("inspect", "reference", (*_stage("inspect", "model.onnx", "given.npz"), *_stage("choose")), (FILE,)),
        is_source=True,
    ),
    JobType("alter", "reference", _stage("alter", "model.onnx"), (_MODEL, INPUTS), _READING),
    JobType("reference", "reference", _stage("reference", "reference.npz", "again.npz"), (_MODEL, INPUTS), _READING),
    JobType("expose", "reference", _stage("expose", "exposed.onnx", "exposed.npz"), (_MODEL, INPUTS), _READING),
    JobType("convert", "converter", (), (_MODEL, INPUTS), _READING),
    # Of a family that takes the torch module itself.
    JobType("direct", "converter", (), (INPUTS, FACTORY)),
    JobType("trace", "converter", (), (Take("model.onnx", "exposed.onnx"), INPUTS), ("expose",)),
    JobType("coverage", "converter"),
)

JOB_TYPES: Mapping[str, JobType] = {one.kind: one for one in _TABLE}


def modules(passes: Iterable[Pass]) -> tuple[str, ...]:
    """Return the modules of converter/ that run in these passes, the worker's own first."""
    return ("converter.worker", *(one.module for one in passes))
