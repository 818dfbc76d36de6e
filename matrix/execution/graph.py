"""The jobs of a cell as a graph: what runs where, and after what. Pure.

Nodes that cells share are one object, so that each is answered once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from matrix.execution.job_types import JOB_TYPES, SOURCES, JobType
from matrix.families import Family, family_of
from matrix.planning.cells import Cell
from matrix.planning.plan import Plan
from matrix.table.exporters import Exporter
from matrix.table.model import Config, ModelSpec


@dataclass(frozen=True, eq=False)
class JobNode:
    """One job: its kind, the name of the environment it runs in, and the node whose files it is given.

    `model` and `exporter` are None for a job that is about no model. `params` are what the job is told beyond what
    follows from those. `alone`: it gets a worker that nothing else uses.
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
        """Whether others wait for it to know what they are given."""
        return self.kind in SOURCES


@dataclass(frozen=True)
class Graph:
    """The jobs of one cell by the part that each plays in its record; without a `cell` what was asked for is the jobs
    themselves. `alter` are in order."""

    source: JobNode
    cell: Cell | None = None
    alter: tuple[JobNode, ...] = ()
    further: Mapping[str, JobNode] = field(default_factory=dict)

    @property
    def nodes(self) -> Iterator[JobNode]:
        """All of them, each after those it waits for."""
        yield self.source
        yield from self.alter
        yield from self.further.values()


class Graphs:
    """Makes graphs of the cells of a plan. `tflite` carries what is converted on to TensorFlow Lite."""

    def __init__(self, config: Config, plan: Plan, tflite: bool = False) -> None:
        self._plan = plan
        self._reference = config.reference.id
        self._tflite = tflite
        self._known: dict[tuple[Any, ...], JobNode] = {}

    def of(self, cell: Cell) -> Graph:
        """The graph of a cell, with all that a search asks for."""
        source = self._source(cell)
        made = family_of(cell.converter)
        if made.source == "torch":
            node = self._node("direct", cell.converter.id, cell, None, family=made, alone=is_users(cell.model))
            return Graph(source, cell, (), {"convert": node})
        alone, environ = is_users(cell.model), dict(cell.environ)
        last, altered = source, []
        for kind, value in cell.alterations:
            last = self._node("alter", self._reference, cell, last, {"change": {kind: value}}, alone=alone)
            altered.append(last)
        tflite = {"tflite": True} if self._tflite else {}
        told: dict[str, Any] = ({"environ": environ} if environ else {}) | tflite
        further = {
            "reference": self._node("reference", self._reference, cell, last, alone=alone),
            "convert": self._node(
                "convert", cell.converter.id, cell, last, told, family=made, alone=alone or bool(environ)
            ),
        }
        if cell.locate is not None:
            case = {"case": cell.locate}
            exposed = self._node("expose", self._reference, cell, last, case, alone=alone)
            told = ({"environ": environ} if environ else {}) | case
            further["expose"] = exposed
            further["trace"] = self._node(
                "trace", cell.converter.id, cell, exposed, told, family=made, alone=alone or bool(environ)
            )
        return Graph(source, cell, tuple(altered), further)

    def read(self, cell: Cell) -> Graph:
        """The export of a cell's model, or the look into its file, and nothing more."""
        return Graph(self._source(cell), cell)

    def _source(self, cell: Cell) -> JobNode:
        kind = "export" if cell.exporter.writes else "inspect" if cell.model.onnx is not None else "forward"
        return self._node(
            kind, self._plan.exporter_environment(cell), cell, None, alone=kind == "inspect" or is_users(cell.model)
        )

    def _node(
        self,
        kind: str,
        environment: str,
        cell: Cell,
        before: JobNode | None,
        params: Mapping[str, Any] | None = None,
        family: Family | None = None,
        alone: bool = False,
    ) -> JobNode:
        told = params or {}
        # A source is of its model, exporter and opset; whatever comes after it is of the source.
        of = (cell.model.id, cell.exporter.id, cell.opset) if before is None else ()
        key = (kind, environment, before, repr(told), *of)
        if key not in self._known:
            self._known[key] = JobNode(
                kind, environment, before, cell.model, cell.exporter, cell.opset, family, told, alone
            )
        return self._known[key]


def coverage(rows: Mapping[str, Family]) -> list[Graph]:
    """Operator coverage of converters, by the name of their environment."""
    return [Graph(JobNode("coverage", name, family=made)) for name, made in rows.items()]


def environments_after(graphs: Iterable[Graph]) -> dict[JobNode, dict[str, None]]:
    """By source the environments that what comes after it needs, in the order it is reached."""
    found: dict[JobNode, dict[str, None]] = {}
    for graph in graphs:
        names = found.setdefault(graph.source, {})
        names |= dict.fromkeys(node.environment for node in graph.nodes if node is not graph.source)
    return found


# Where the models lie that are ours; any other is a user's.
_ZOO = "converter.zoo."


def is_users(model: ModelSpec) -> bool:
    """Whether a model is a user's own: its code and its files are not trusted to leave a worker as they found it."""
    ours = model.factory is not None and model.factory.startswith(_ZOO)
    return not ours or model.checkpoint is not None or model.source is not None
