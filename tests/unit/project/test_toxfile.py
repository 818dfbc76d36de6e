"""The rows as tox environments."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest
import small

from matrix.table import load_config

pytest.importorskip("tox")


def test_each_row_is_measured_in_a_state_folder_of_its_own(tmp_path: Path) -> None:
    rows = [row.id for row in load_config(small.TABLE).converters]
    asked = ["-e", ",".join(rows), "-k", "set_env", "commands", "description"]
    done = subprocess.run(
        [sys.executable, "-m", "tox", "config", "--workdir", str(tmp_path), *asked],
        cwd=small.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    said = configparser.RawConfigParser(strict=False)
    said.read_string(done.stdout)
    folders = set()
    for row in rows:
        section = said[f"testenv:{row}"]
        assert section["commands"] == f"python -m matrix run --tier each --only converter={row}"
        assert section["description"].startswith(f"measure row {row}: ")
        folders |= {line for line in section["set_env"].splitlines() if line.startswith("MATRIX_STATE=")}
    assert folders == {f"MATRIX_STATE={tmp_path / row / 'state'}" for row in rows}
