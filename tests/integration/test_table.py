"""Rows that this machine cannot run: invalid, unsatisfiable, not in the table, or without an interpreter."""

from __future__ import annotations

import hashlib
from pathlib import Path

from product import Finished, Project
from tables import EXPORTER, OPSET, TF1, TF2, small_model, write_table

from matrix.packages import interpreters
from matrix.packages.lock import read_locks


def contents(folder: Path) -> dict[str, str]:
    """Return {file: hash}."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_wrong_table_is_said_before_anything_is_touched(smoke: Finished, real: Project, project: Project) -> None:
    table = write_table(project.folder, [small_model("good")])
    wrong = table.read_text().replace("{id: torch-1.0.1, pins:", "{id: torch-1.0.1, pin:")
    line = next(i for i, text in enumerate(wrong.splitlines(), 1) if "pin:" in text)
    table.write_text(wrong)
    stored = contents(real.state / "blobs"), real.database.read_bytes()

    done = Project(project.folder, real.state).run()

    assert done.code == 3
    assert f"matrix.yml:{line}:" in done.err
    assert "'pin'" in done.err
    assert done.out == ""
    assert (contents(real.state / "blobs"), real.database.read_bytes()) == stored


def test_a_row_without_a_solution_is_a_finding(project: Project) -> None:
    row = {
        "id": "nothing-fits",
        "pins": {"onnx-tf": "1.10.0", "onnx": "1.4.1", "tensorflow": "2.8.0"},
        "python": "3.9",
        "as_of": "2022-04-20",
    }
    write_table(project.folder, [small_model("good")], (TF1, "nothing-fits"), rows=(row,))

    done = project.run()

    assert {cell["converter"]: (cell["verdict"], cell["role"], cell["stage"]) for cell in done.cells} == {
        TF1: ("match", None, None),
        "nothing-fits": ("unsatisfiable", "converter", "lock"),
    }, done.err
    assert done.code == 0
    shown = project.call("show", "nothing-fits")
    assert shown.code == 0, shown.err
    # The resolver's own message: which package requires which.
    assert "onnx>=1.10.2" in "".join(shown.out.split()), shown.out
    assert project.run("--locked").jobs[0] == 0
    assert read_locks(project.folder / "envs")["nothing-fits"].outcome == "unsatisfiable"


def test_a_combination_that_is_no_row(project: Project) -> None:
    write_table(project.folder, [small_model("good")])
    committed = contents(project.folder)
    asked = ("--with", "onnx==1.4.0", "--with", "tensorflow==1.13.1", "--tier", "full")
    asked = (*asked, "--only", f"exporter={EXPORTER}", "--only", f"opset=={OPSET}")

    done = project.run(*asked)

    assert done.code == 0, done.err
    assert done.cells
    for cell in done.cells:
        assert (cell["onnx"], cell["tensorflow"]) == ("1.4.0", "1.13.1")
        assert "+onnx1.4.0" in cell["converter"]
        assert (project.state / "locks" / f"{cell['converter']}.lock").exists()
    assert "match" in [cell["verdict"] for cell in done.cells]
    assert contents(project.folder) == committed
    assert project.run(*asked, "--locked").jobs[0] == 0


def test_a_missing_interpreter_makes_its_cells_unavailable(smoke: Finished, real: Project, tmp_path: Path) -> None:
    """Put only the Pythons of all rows but TF1 on PATH, and hide those of pyenv and uv."""
    locks = read_locks(real.folder / "envs")
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in (EXPORTER, "reference", TF2):
        python = locks[name].python
        found = interpreters.find(python)
        assert found is not None
        link = bin_ / f"python{python}"
        if not link.exists():
            link.symlink_to(found.path)
    nothing = str(tmp_path / "nothing")
    env = {"PATH": str(bin_), "PYENV_ROOT": nothing, "UV_PYTHON_INSTALL_DIR": nothing}

    done = real.run("--tier", "smoke", "--locked", env=env)

    cells = {cell["converter"]: cell for cell in done.cells}
    assert cells[TF2]["verdict"] == "match"
    assert cells[TF2]["cached"]
    missing = cells[TF1]
    assert (missing["verdict"], missing["role"], missing["reason"]) == (
        "unavailable",
        "converter",
        "interpreter-missing",
    )
    assert interpreters.how_to_get(locks[TF1].python) in missing["title"]
    assert missing["indeterminate"]
    assert done.code == 0, done.err
    assert real.run("--tier", "smoke", "--locked", "--strict", env=env).code == 7
    # It was not stored: with the interpreter back, there is a finding again.
    assert real.run("--tier", "smoke", "--locked").jobs == (0, sum(smoke.jobs))
