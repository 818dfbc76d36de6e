"""`export`, `import`, `merge` and `history prune` on the command line, and stores older than the names of runs."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from pathlib import Path

import pytest
import small
import transfer_world
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import create_engine
from transfer_world import World

from matrix import cli
from matrix.store import Store, database
from matrix.store.records import Obstacle
from matrix.store.state import State


@pytest.fixture(autouse=True)
def _no_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sync", lambda: None)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> World:
    return transfer_world.filled(tmp_path_factory.mktemp("command"))


class Machine:
    """A folder with a table and a state, and the command line in it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self._patch = monkeypatch
        small.table(root)

    def __call__(self, *words: str, store: World | None = None) -> int:
        options = [] if words[0] == "merge" else ["--table", str(self.root / "matrix.yml"), "--state", str(self.state)]
        if store is not None:
            options += ["--store", f"sqlite:///{store.root / 'matrix.db'}", "--state", str(store.root / ".matrix")]
        self._patch.setattr(sys, "argv", ["matrix", *words, *options])
        return cli.main()

    @property
    def state(self) -> Path:
        return self.root / ".matrix"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    (tmp_path / "machine").mkdir()
    return Machine(tmp_path / "machine", monkeypatch)


def test_there_and_back(machine: Machine, source: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert machine("export", str(tmp_path / "whole"), store=source) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'whole'}: 3 runs, 8 cells, 9 observations\n"
    assert "left out: 3 cells of models that are not in the table (secret); --include MODEL exports them" in err
    for number in ("1", "2"):
        assert machine("export", str(tmp_path / number), "--shard", f"{number}/2", store=source) == 0
    assert machine("merge", str(tmp_path / "2"), str(tmp_path / "1"), "--out", str(tmp_path / "merged")) == 0
    assert machine("import", str(tmp_path / "merged")) == 0
    assert "imported 3 runs, 8 cells, 9 observations" in capsys.readouterr().out
    assert machine("import", str(tmp_path / "whole"), str(tmp_path / "merged")) == 0
    assert capsys.readouterr().out == "nothing new\n"
    assert machine("history", "prune", "--keep", "0d", "--dry-run") == 0
    assert machine("history", "prune", "--keep", "0d") == 0
    assert "removed 0 stored files" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--shard", "3/2"), 2, "--shard 3/2: write I/N"),
        (("--shard", "x"), 2, "--shard x: write I/N"),
        (("--include", "nobody"), 2, "--include nobody: no run has a cell of this model"),
        (("--run", "77"), 2, "there is no run 77"),
    ],
)
def test_an_export_that_was_not_meant(
    machine: Machine, source: World, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...], code: int, says: str,
) -> None:  # fmt: skip
    assert machine("export", str(tmp_path / "out"), *words, store=source) == code
    assert says in capsys.readouterr().err


def test_an_empty_history_has_nothing_to_export(machine: Machine, tmp_path: Path) -> None:
    assert machine("export", str(tmp_path / "out")) == 4
    assert not (tmp_path / "out" / "history.json").exists()


def test_what_a_killed_driver_found_is_exported(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = State(machine.state)
    store = state.open_store()
    run = store.begin_run("quick", "venv", "run", 1, {**transfer_world.HOST, "state": state.mark}, uid="nightly-1")
    seen = store.add(
        run, small.observation("export", obstacle=Obstacle("build", "error", "no-build", "no")), True, None
    )
    record = {"exporter": "torch-1.2.0", "export": seen, "reference": None, "convert": None}
    store.add_cells(run, [small.cell_record(transfer_world.NEW, **record)])
    with state.held():
        assert machine("export", str(tmp_path / "out")) == 4
        assert "run 1 is still under way" in capsys.readouterr().err
    assert machine("export", str(tmp_path / "out"), "--run", "nightly-1") == 0
    assert "1 runs, 1 cells" in capsys.readouterr().out
    assert store.run(run).status == "killed"
    store.close()


def test_nothing_is_taken_in_while_a_driver_is_at_work(machine: Machine, source: World, tmp_path: Path) -> None:
    source.export(tmp_path / "whole")
    with State(machine.state).held():
        assert machine("import", str(tmp_path / "whole")) == 8
        assert machine("history", "prune") == 8


def test_a_merge_of_what_is_damaged_leaves_what_was_there(machine: Machine, source: World, tmp_path: Path) -> None:
    source.export(tmp_path / "whole")
    assert machine("merge", str(tmp_path / "whole"), "--out", str(tmp_path / "out")) == 0
    (tmp_path / "whole" / "history.json").unlink()
    assert machine("merge", str(tmp_path / "whole"), "--out", str(tmp_path / "out")) == 3
    assert json.loads((tmp_path / "out" / "history.json").read_text())["schema"] == 1


def test_runs_of_an_older_database_get_names(tmp_path: Path) -> None:
    """The same ones in every copy of it."""
    path = tmp_path / "old.db"
    config = AlembicConfig()
    config.set_main_option("script_location", str(database._MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
    engine.dispose()
    with sqlite3.connect(path) as old:
        for number, day in ((1, "2026-01-01"), (2, "2026-01-02"), (3, "2026-01-02")):
            facts = "'complete', 'quick', 'venv', 'run', 1, 1, 0, '{}', 'then', NULL, NULL"
            moments = (number, f"{day} 03:04:05.000000", f"{day} 04:04:05.000000")
            old.execute(f"INSERT INTO run VALUES (?, ?, ?, {facts})", moments)
    old.close()
    (tmp_path / "copy.db").write_bytes(path.read_bytes())
    names = []
    for copy in ("old", "copy"):
        store = Store(f"sqlite:///{tmp_path / copy}.db", tmp_path / "blobs")
        runs = store.runs()
        names.append([run.uid for run in runs])
        assert [part.uid for run in runs for part in run.parts] == names[-1]
        assert store.drift(1) is None
        store.close()
    assert names[0] == names[1]
    assert len(set(names[0])) == 3 and all(len(name) == 64 for name in names[0])
