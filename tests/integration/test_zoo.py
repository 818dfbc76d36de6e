"""Models that misbehave: each gets its own verdict, none harms its neighbours in the worker or the driver."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from product import Project
from tables import ZOO, small_model, write_table

EXPECTED = yaml.safe_load((ZOO / "expected.yml").read_text(encoding="utf-8"))

# Far above what a small model needs in any framework here, and soon reached by one that never stops.
MEMORY_MB = 2048


def test_each_model_of_the_zoo_gets_its_verdict(project: Project) -> None:
    models = [small_model(name, item["factory"], seed) for seed, (name, item) in enumerate(EXPECTED.items())]
    write_table(project.folder, models)
    trap = Path.home() / "matrix-zoo-was-here"
    assert not trap.exists()

    done = project.run("--memory", str(MEMORY_MB))

    keys = ("verdict", "role", "stage", "reason")
    found = {cell["model"]: {key: cell[key] for key in keys} for cell in done.cells}
    wanted = {name: {key: item[key] for key in keys} for name, item in EXPECTED.items()}
    assert found == wanted, done.err
    assert done.code == 7, "the model that is not deterministic is indeterminate, nothing else is unexpected"
    assert not trap.exists(), "an array was unpickled"
    project.assert_history_whole()
    project.assert_no_process_left()

    (printed,) = (
        record["log"]
        for (_, exporter, payload) in project.rows(
            "select cell.model, cell.export, observation.payload from cell join observation"
            " on cell.export = observation.id where cell.model = 'chatty'"
        )
        for record in yaml.safe_load(payload)["passes"]
    )
    assert project.blob(printed).stat().st_size < 1_000_000


@pytest.mark.parametrize("factory", ["hang_with_a_child", "hang_in_c"])
def test_a_model_that_hangs_is_a_timeout_and_leaves_no_process(project: Project, factory: str) -> None:
    write_table(project.folder, [small_model("before"), small_model("hang", factory), small_model("after", seed=1)])
    # Only exports are hurried: a converter's first import may well take longer.
    project.run("--model", "before")

    done = project.run("--model", "hang", "--timeout", "10")

    assert [(c["verdict"], c["role"], c["stage"], c["reason"]) for c in done.cells] == [
        ("timeout", "exporter", "forward", "time-limit")
    ]
    assert done.code == 0
    project.assert_no_process_left()
    assert project.run("--model", "hang", "--timeout", "10").jobs == (0, 1), "known under the same limit"
