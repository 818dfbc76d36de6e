"""Misbehaving models: each gets its own verdict, and none affects other jobs of the worker or the driver."""

from __future__ import annotations

import json
from typing import Any

import yaml
from product import Finished, Project
from tables import ZOO, small_model, write_table

EXPECTED = yaml.safe_load((ZOO / "expected.yml").read_text(encoding="utf-8"))
KEYS = ("verdict", "role", "stage", "reason")

# Far above what a small model needs in any framework here, and soon reached by one that never stops allocating.
MEMORY_MB = 2048

# Enough for a small model once its environment is warm; a model that hangs uses all of it.
SECONDS = 20


def findings(done: Finished) -> dict[str, Any]:
    return {cell["model"]: {key: cell[key] for key in KEYS} for cell in done.cells}


def test_each_model_gets_its_verdict(project: Project) -> None:
    write_table(project.folder, [small_model(name, item["factory"]) for name, item in EXPECTED.items()])

    done = project.run("--memory", str(MEMORY_MB))

    wanted = {name: {key: item[key] for key in KEYS} for name, item in EXPECTED.items()}
    assert findings(done) == wanted, done.err
    assert done.code == 0, "trying a model again that is not deterministic would change nothing"
    assert not (project.folder / "unpickled").exists(), "the driver unpickled an array"
    project.assert_history_whole()
    project.assert_no_process_left()

    printed = project.rows(
        "select payload from cell join observation on cell.export = observation.id where cell.model = 'chatty'"
    )
    log = project.blob(json.loads(printed[0][0])["passes"][0]["log"])
    assert log.stat().st_size < 1_000_000, "50 MB of output were kept"

    again = project.run("--memory", str(MEMORY_MB))
    assert findings(again) == wanted
    assert again.jobs[0] == 0, "each of them is a finding, a good observation of a random model too"
    shown = project.call("show", "raise-unprintable")
    assert shown.code == 0, shown.err
    assert "no such file" in shown.out
    assert "\x1b" not in shown.out, "a model's text may not steer the terminal"


def test_a_model_that_hangs_costs_its_own_job_only(project: Project) -> None:
    assert_a_hang_costs_its_own_job_only(project, SECONDS)
    project.assert_no_process_left()
    assert project.run("--timeout", str(SECONDS - 1)).jobs[0] == 0, "what was too long for more is too long for less"


def assert_a_hang_costs_its_own_job_only(project: Project, seconds: int) -> None:
    """The same with every engine; `seconds` is the time limit of a job."""
    hanging = ("hang_with_a_child", "hang_in_c")
    models = [small_model("before"), *(small_model(name, name) for name in hanging), small_model("after", seed=1)]
    write_table(project.folder, models)
    assert project.run("--model", "before").code == 0

    done = project.run("--timeout", str(seconds))

    timeout = {"verdict": "timeout", "role": "exporter", "stage": "forward", "reason": "time-limit"}
    match = {"verdict": "match", "role": None, "stage": None, "reason": None}
    assert findings(done) == {"before": match, **dict.fromkeys(hanging, timeout), "after": match}, done.err
    assert done.code == 0
