"""The kinds of job, in one table. A new kind is one entry here, and its pass in converter/."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from matrix.store.records import Pass
from matrix.table.model import Role

# Handed from one pass of a job to the next, and not kept: a rerun makes it again.
CARRIED = "saved"


@dataclass(frozen=True)
class Take:
    """A file that a job is given: `file` of its folder. `of` is the file that the job before it left, or ''."""

    file: str
    of: str = ""


# The inputs of the model; the files that its factory needs; the .onnx file and what lies beside it.
INPUTS, FACTORY, FILE = Take("inputs.npz"), Take("source"), Take("given")


@dataclass(frozen=True)
class JobType:
    """`passes` are each the work of a worker of its own; () where the converter's family says which. `takes` is what it
    is given, `after` the kinds of which one must have ended well before it, `priority` what goes first where places are
    few: exports feed everything else, and what the reference environment does is little and short."""

    kind: str
    role: Role
    priority: int
    passes: tuple[Pass, ...] = ()
    takes: tuple[Take, ...] = ()
    after: tuple[str, ...] = ()


def _stage(name: str, *leaves: str) -> tuple[Pass, ...]:
    return (Pass(f"converter.stages.{name}", leaves),)


_TABLE = (
    JobType("export", "exporter", 0, _stage("export", "torch.npz", "torch-again.npz", "model.onnx"), (INPUTS, FACTORY)),
    JobType("forward", "exporter", 0, _stage("forward", "torch.npz", "torch-again.npz"), (INPUTS, FACTORY)),
    JobType("inspect", "reference", 1, _stage("inspect", "model.onnx", "given.npz"), (FILE,)),
    JobType(
        "alter",
        "reference",
        1,
        _stage("alter", "model.onnx"),
        (Take("model.onnx", "model.onnx"),),
        ("export", "inspect", "alter"),
    ),
    JobType(
        "reference",
        "reference",
        1,
        _stage("reference", "reference.npz", "again.npz"),
        (Take("model.onnx", "model.onnx"), INPUTS),
        ("export", "inspect", "alter"),
    ),
    JobType(
        "expose",
        "reference",
        1,
        _stage("expose", "exposed.onnx", "exposed.npz"),
        (Take("model.onnx", "model.onnx"), INPUTS),
        ("export", "inspect", "alter"),
    ),
    JobType("convert", "converter", 2, (), (Take("model.onnx", "model.onnx"), INPUTS), ("export", "inspect", "alter")),
    # Of a family that takes the torch module itself.
    JobType("direct", "converter", 2, (), (INPUTS, FACTORY)),
    JobType("trace", "converter", 2, (), (Take("model.onnx", "exposed.onnx"), INPUTS), ("expose",)),
    JobType("coverage", "converter", 2),
)

JOB_TYPES: Mapping[str, JobType] = {one.kind: one for one in _TABLE}

# Where a cell begins: what comes after waits for these.
SOURCES = frozenset(one.kind for one in _TABLE if not one.after and one.kind not in ("coverage", "direct"))


def modules(passes: Iterable[Pass]) -> tuple[str, ...]:
    """The modules of converter/ that run in these passes, the worker's own first."""
    return ("converter.worker", *(one.module for one in passes))
