"""How long an environment is expected to be busy."""

from __future__ import annotations

from pathlib import Path

import pytest
import small

from matrix.environments.sizes import megabytes
from matrix.execution.expected import busy_seconds
from matrix.execution.graph import Graphs
from matrix.planning import Selection, make_plan
from matrix.planning.shards import Costs
from matrix.table.selectors import from_text


def test_what_was_measured_counts_and_sizes_stand_for_the_rest(tmp_path: Path) -> None:
    table = small.config(tmp_path)
    locks = small.locks(table)
    plan = make_plan(
        table, locks, Selection("full", tuple(map(from_text, ("exporter=torch-1.2.0", "model=net")))), None
    )
    graphs = Graphs(table, plan)
    made = [graphs.of(cell) for cell in plan.cells]
    old = [cell for cell in plan.cells if cell.converter.id == "old"]
    one = old[0]
    found = busy_seconds(made, Costs({one.id: 100.0}, {("net", "torch-1.2.0", one.opset): 7.0}), locks)
    usual = {name: 2.0 * megabytes(lock) / 1000 for name, lock in locks.items()}
    assert found["old"] == pytest.approx(100 + usual["old"] * (len(old) - 1))
    opsets = {cell.opset for cell in plan.cells}
    # Each opset is exported once, however many rows convert it; the model runs once for all.
    assert found["torch-1.2.0"] == pytest.approx(7 + usual["torch-1.2.0"] * len(opsets))
    assert found["reference"] == pytest.approx(usual["reference"] * len(opsets))
