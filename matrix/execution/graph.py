"""The jobs of a cell as a graph: where each runs, and after which. Pure.

A job that several cells share is one node, so that it runs once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from matrix.execution.job_types import JOB_TYPES, JobType
from matrix.families import Family, family_of
from matrix.planning.cells import Cell
from matrix.planning.plan import Plan
from matrix.table.exporters import Exporter
from matrix.table.model import Config, ModelSpec


@dataclass(frozen=True, eq=False)
class JobNode:
    """One job: its kind, the name of its environment, and the node `before` it whose files it is given.

    `model` and `exporter` are None for a job without a model. `params` are added to the parameters that follow from
    those. `alone`: it gets its own worker.
    """

    kind: str
    environment: str
    before: JobNode | None = None
    model: ModelSpec | None = None
    exporter: Exporter | None = None
    opset: int = 0
    family: Family | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False

    @property
    def type(self) -> JobType:
        return JOB_TYPES[self.kind]

    @property
    def is_source(self) -> bool:
        """Whether the cells that share it begin with it."""
        return self.type.is_source

    @property
    def of_one_size(self) -> bool:
        """Whether the file it takes was changed to one that takes inputs of one size only."""
        before = self.before
        return before is not None and ("fix" in before.params.get("change", ()) or before.of_one_size)


@dataclass(frozen=True)
class Graph:
    """The jobs of one cell by their part in its record; without a `cell`, only the source was asked for. `alter` are in
    order. A `forward` job may come before the source, an export."""

    source: JobNode
    cell: Cell | None = None
    alter: tuple[JobNode, ...] = ()
    further: Mapping[str, JobNode] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[JobNode, ...]:
        """The source and the forward job before it, in order."""
        return (self.source,) if self.source.before is None else (self.source.before, self.source)

    @property
    def nodes(self) -> Iterator[JobNode]:
        """All nodes, each after those it waits for."""
        yield from self.sources
        yield from self.alter
        yield from self.further.values()


_NOTHING: Mapping[str, Any] = {}


class Graphs:
    """Makes the graphs of a plan's cells. With `tflite`, conversions go on to TensorFlow Lite."""

    def __init__(self, config: Config, plan: Plan, tflite: bool = False) -> None:
        self._plan = plan
        self._reference = config.reference.id
        self._tflite = tflite
        self._known: dict[tuple[Any, ...], JobNode] = {}

    def of(self, cell: Cell) -> Graph:
        """Return the graph of a cell, including what a search asks for."""
        source = self._source(cell)
        row, made, alone = cell.converter.id, family_of(cell.converter), is_users(cell.model)
        if made.source == "torch":
            return Graph(source, cell, (), {"convert": self._node("direct", row, cell, None, {}, made, alone)})
        last, altered = source, []
        for kind, value in cell.alterations:
            last = self._node("alter", self._reference, cell, last, {"change": {kind: value}}, alone=alone)
            altered.append(last)
        environ: dict[str, Any] = {"environ": dict(cell.environ)} if cell.environ else {}
        told = environ | ({"tflite": True} if self._tflite else {})
        further = {
            "reference": self._node("reference", self._reference, cell, last, alone=alone),
            "convert": self._node("convert", row, cell, last, told, made, alone or bool(environ)),
        }
        if cell.locate is not None:
            case = {"case": cell.locate}
            exposed = self._node("expose", self._reference, cell, last, case, alone=alone)
            further["expose"] = exposed
            further["trace"] = self._node("trace", row, cell, exposed, environ | case, made, alone or bool(environ))
        return Graph(source, cell, tuple(altered), further)

    def read(self, cell: Cell) -> Graph:
        """Return the graph of only the export of a cell's model, or of the inspection of its file."""
        return Graph(self._source(cell), cell)

    def _source(self, cell: Cell) -> JobNode:
        name = self._plan.exporter_environment(cell)
        if cell.exporter.writes:
            # A user's code may hold another network whenever it is called: its export runs the model itself.
            alone = is_users(cell.model)
            return self._node("export", name, cell, None if alone else self._node("forward", name, cell), alone=alone)
        if cell.model.is_file:
            return self._node("inspect", name, cell, alone=True)
        return self._node("forward", name, cell, alone=is_users(cell.model))

    def _node(
        self,
        kind: str,
        environment: str,
        cell: Cell,
        before: JobNode | None = None,
        params: Mapping[str, Any] = _NOTHING,
        family: Family | None = None,
        alone: bool = False,
    ) -> JobNode:
        # Of one model, only exports differ by exporter and opset; a later job differs by the one before it.
        of = {"export": (cell.model.id, cell.exporter.id, cell.opset), "forward": (cell.model.id,)}.get(
            kind, (cell.model.id,) if before is None else ()
        )
        key = (kind, environment, before, repr(params), *of)
        if key not in self._known:
            self._known[key] = JobNode(
                kind, environment, before, cell.model, cell.exporter, cell.opset, family, params, alone
            )
        return self._known[key]


def coverage(rows: Mapping[str, Family]) -> list[Graph]:
    """Return the jobs that measure operator coverage; `rows` are families by the name of the environment."""
    return [Graph(JobNode("coverage", name, family=made)) for name, made in rows.items()]


def environments_after(graphs: Iterable[Graph]) -> dict[JobNode, dict[str, None]]:
    """Return by source, and by the job before it, the environments of the jobs after it, in the order in which they
    are reached."""
    found: dict[JobNode, dict[str, None]] = {}
    for graph in graphs:
        later = dict.fromkeys(node.environment for node in graph.nodes if node not in graph.sources)
        for source in graph.sources:
            found.setdefault(source, {}).update(later)
    return found


# The package of our own models; any other model is a user's.
_ZOO = "converter.zoo."


def is_users(model: ModelSpec) -> bool:
    """Tell whether a model is a user's: its code and files may tamper with a worker, which must not be shared."""
    ours = model.factory is not None and model.factory.startswith(_ZOO)
    return not ours or model.checkpoint is not None or model.source is not None
