"""Tox plugin of this project: one tox environment for each converter row of matrix.yml.

`tox run -e <row id>` builds that row's environment from its lock and converts every model in it. A conversion that
fails is a finding, not a failure: exit code 5 means that matrix.yml expects another finding. Rows are read from the
table: adding one there adds an environment here.
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
    # Not by `matrix`, which may not be installed where tox runs; it validates the table itself.
    table = yaml.load(_TABLE.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    return [row["id"] for row in table["converters"]]


@impl
def tox_extend_envs() -> tuple[str, ...]:
    """Return the rows, so that `-e` and `tox list` know them."""
    return tuple(_rows())


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:
    """Configure each row's environment."""
    for row in _rows():
        state.conf.memory_seed_loaders[row].append(
            MemoryLoader(
                description=f"measure row {row}: a failing conversion is a finding, exit code 5 if matrix.yml expects "
                "another",
                # Only one driver can use a state folder, and `tox run-parallel` starts several.
                set_env={"MATRIX_STATE": str(core_conf["work_dir"] / row / "state")},
                base_python=["python3.11", "python3.12", "python3.13"],
                commands=[Command(["python", "-m", "matrix", "run", "--tier", "each", "--only", f"converter={row}"])],
            )
        )
