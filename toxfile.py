"""Tox plugin of this project: one tox environment for each converter row of matrix.yml.

`tox run -e <row id>` builds that row's environment from its lock and converts every model in it. A conversion that
fails is a finding, not a failure: exit code 5 says that matrix.yml expects otherwise. Nothing is copied from the table:
a row added there is an environment here.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from tox.config.loader.memory import MemoryLoader
from tox.config.sets import ConfigSet
from tox.config.types import Command
from tox.plugin import impl
from tox.session.state import State

_TABLE = Path(__file__).with_name("matrix.yml")


def _rows() -> list[str]:
    # Read plainly: tox runs where this project may not be installed. `matrix` itself checks the table.
    table = yaml.load(_TABLE.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    return [row["id"] for row in table["converters"]]


@impl
def tox_extend_envs() -> tuple[str, ...]:
    """Make the rows known, so that `-e` and `tox list` find them."""
    return tuple(_rows())


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:
    """Give each row its command."""
    for row in _rows():
        state.conf.memory_seed_loaders[row].append(
            MemoryLoader(
                description=f"measure row {row}: a failing conversion is a finding, exit code 5 if matrix.yml expects "
                "another",
                # A state folder serves one driver at a time, and `tox run-parallel` starts several.
                set_env={"MATRIX_STATE": str(core_conf["work_dir"] / row / "state")},
                base_python=["python3.11", "python3.12", "python3.13"],
                commands=[Command(["python", "-m", "matrix", "run", "--tier", "each", "--only", f"converter={row}"])],
            )
        )
