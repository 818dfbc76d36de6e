"""Two families unknown to matrix/, provided by an entry point, from the table to the findings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from product import Project
from tables import EXPORTER, OPSET, ROOT, write_table

from matrix.packages.lock import read_locks
from matrix.table import load_config

TEXT = "text-onnx1.15.0"
SCRIPT = "script"
FAILS = f"soft/{EXPORTER}@{OPSET}/{TEXT}"

MODELS = """\
from torch import nn

def plain():
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval()

def soft():
    return nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1)).eval()
"""


def model(name: str) -> dict[str, Any]:
    inputs = [{"name": "row", "shape": [2, 4], "range": [-1, 1]}]
    return {"id": name, "factory": f"models.py:{name}", "seed": 0, "inputs": inputs, "outputs": ["out"]}


@pytest.fixture(scope="module")
def brought(shared_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Both toy families on the path, a row of each in a table, and their locks resolved."""
    folder = tmp_path_factory.mktemp("families")
    path = {"PYTHONPATH": str(ROOT / "tests" / "families")}
    project = Project(folder / "project", shared_state, folder / "history.db", env=path)
    (exporter,) = (row for row in load_config(ROOT / "matrix.yml").exporters if row.id == EXPORTER)
    lock = read_locks(ROOT / "envs")[EXPORTER]
    text = {"pins": {"protobuf": "4.25.3", "onnx": "1.15.0"}, "python": "3.11", "as_of": "2024-04-01"}
    script = {"pins": {**exporter.pins}, "python": lock.python, "as_of": str(lock.as_of)}
    rows = ({"id": TEXT, "family": "onnx-text", **text}, {"id": SCRIPT, "family": "torchscript", **script})
    write_table(project.folder, [model("plain"), model("soft")], (TEXT,), rows=rows)
    (project.folder / "models.py").write_text(MODELS)
    locked = project.call("lock", TEXT, SCRIPT)
    assert locked.code == 0, locked.err
    return project


@pytest.fixture(scope="module")
def cells(brought: Project) -> dict[str, dict[str, Any]]:
    only = [part for row in (TEXT, SCRIPT) for part in ("--only", f"converter={row}")]
    where = ("--only", f"exporter={EXPORTER}", "--only", "exporter=direct")
    done = brought.run("--tier", "full", *only, *where, "--only", f"cell=*@{OPSET}/*", "--only", "cell=*/direct/*")
    assert done.code == 0, done.err
    return {cell["cell"]: cell for cell in done.cells}


def test_the_plan_names_both_sources(brought: Project) -> None:
    done = brought.call("plan", "--tier", "full", "--only", "converter=script", "--format", "json")
    assert done.document["cells"] == ["plain/direct/script", "soft/direct/script"]


def test_every_artifact_is_judged(cells: dict[str, dict[str, Any]]) -> None:
    text = f"plain/{EXPORTER}@{OPSET}/{TEXT}"
    assert {name: cell["verdict"] for name, cell in cells.items()} == {
        text: "match",
        FAILS: "error",
        "plain/direct/script": "match",
        "soft/direct/script": "match",
    }
    assert {cell["family"] for cell in cells.values()} == {"onnx-text", "torchscript"}
    assert {name: found["verdict"] for name, found in cells[text]["artifacts"].items()} == {
        "onnx-text": "match",
        "onnx-json": "match",
    }
    # One artifact is right and one is not: the cell says which, and where it failed.
    failed = cells[FAILS]
    assert {name: found["verdict"] for name, found in failed["artifacts"].items()} == {
        "onnx-text": "match",
        "onnx-json": "error",
    }
    assert (failed["role"], failed["stage"]) == ("converter", "reload")
    assert "JSON of a Softmax is not read" in failed["title"]
    # torch.jit.trace computes with the same kernels.
    assert cells["soft/direct/script"]["metrics"]["max_abs"] == 0


def test_the_table_and_show_print_them(brought: Project, cells: dict[str, dict[str, Any]]) -> None:
    shown = brought.call("show", FAILS)
    assert shown.code == 0, shown.err
    assert "onnx-text: match" in shown.out and "onnx-json: error in reload" in shown.out
    table = brought.call("run", "--tier", "full", "--only", "converter=script", "--only", "cell=*/direct/*")
    assert "2 match of 2 cells; jobs: 0 run" in table.out, table.out


def test_the_dashboard_has_them(brought: Project, cells: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "site"
    store = ("--store", f"sqlite:///{brought.store}")
    built = brought.call("dashboard", "--out", str(out), *store)
    assert built.code == 0, built.err
    site = json.loads((out / "data" / "site.json").read_text())
    assert {row["id"]: (row["family"], row["match"]) for row in site["converters"]} == {
        TEXT: ("onnx-text", 1),
        SCRIPT: ("torchscript", 2),
    }
    cells_pages = "".join(file.read_text() for file in (out / "data" / "cells").iterdir())
    assert all(cell in cells_pages for cell in cells) and "onnx-json" in cells_pages


@pytest.mark.parametrize(("options", "cell"), [((), "soft/direct/script"), (("--protobuf", "4.25.3"), None)])
def test_pick_proves_them(
    brought: Project, cells: dict[str, dict[str, Any]], tmp_path: Path, options: tuple[str, ...], cell: str | None
) -> None:
    name = "soft" if cell else "plain"
    torch = read_locks(brought.folder / "envs")[EXPORTER].packages["torch"]
    out = ("--out", str(tmp_path / "handed"), "--format", "json")
    done = brought.call("pick", "--model", name, "--torch", torch, *options, *out)
    assert done.code == 0, done.err
    (proven,) = done.document["proven"]
    assert proven["verdict"] == "match"
    assert proven["converter"] == (SCRIPT if cell else TEXT)
    assert (tmp_path / "handed" / "convert.py").is_file()
