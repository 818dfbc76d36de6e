"""A store whose migration was ended in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic import command, op
from alembic.config import Config
from sqlalchemy import create_engine, inspect

from matrix.store import database
from matrix.store.schema import HEAD


@pytest.mark.usefixtures("as_shipped")
@pytest.mark.parametrize("start", ["base", "0001", "0002"])
def test_it_is_as_if_it_had_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    url = f"sqlite:///{tmp_path / 'matrix.db'}"
    engine = create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(database._MIGRATIONS))
    if start != "base":
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, start)
    before = inspect(engine).get_table_names()

    def ended(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(op, "create_index", ended)
        database.connect(url)
    assert inspect(engine).get_table_names() == before
    engine.dispose()
    opened = database.connect(url)
    assert database._version(opened) == HEAD
    assert {"lock", "resolution", "blame"} <= set(inspect(opened).get_table_names())
    opened.dispose()
