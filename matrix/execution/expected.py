"""Expect how long each environment will be busy, so that the one with the most to do starts first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from matrix.environments.sizes import megabytes
from matrix.execution.graph import Graph, JobNode
from matrix.packages.lock import Lock
from matrix.planning.shards import Costs

# Of a job that was never measured, for each gigabyte of its environment: a large framework takes longer to do anything.
_SECONDS_PER_GIGABYTE = 2.0


def busy_seconds(graphs: Iterable[Graph], costs: Costs, locks: Mapping[str, Lock]) -> dict[str, float]:
    """Return by environment how long its jobs are expected to take: as they were measured, or by its size."""
    jobs: dict[JobNode, float | None] = {}
    for graph in graphs:
        jobs |= dict.fromkeys((node for node in graph.nodes if node not in jobs), None)
        if (cell := graph.cell) is not None:
            exported = cell.model.id, cell.exporter.id, cell.opset
            jobs[graph.source] = costs.exports.get(exported)
            if (last := graph.further.get("convert")) is not None:
                jobs[last] = costs.cells.get(cell.id)
    found: dict[str, float] = {}
    sizes = {name: megabytes(locks[name]) / 1000 for name in {node.environment for node in jobs}}
    for node, seconds in jobs.items():
        usual = _SECONDS_PER_GIGABYTE * sizes[node.environment]
        found[node.environment] = found.get(node.environment, 0.0) + (usual if seconds is None else seconds)
    return found
