"""Open the database: connect, check the schema version, migrate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from matrix.core.errors import ConfigError
from matrix.core.text import redact
from matrix.store.schema import HEAD

_MIGRATIONS = Path(__file__).parent / "migrations"


def connect(url: str) -> Engine:
    """Connect to a database and migrate it to the current schema.

    Raises ConfigError where it cannot be reached, its driver is not installed or a newer version wrote it.
    """
    try:
        engine = create_engine(url, json_deserializer=_parsed)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _sqlite_settings)
        found = _version(engine)
        if found != HEAD:
            _migrate(engine, found)
    except (SQLAlchemyError, ImportError) as error:
        raise ConfigError(
            f"the store at {redact(url)} cannot be opened: {redact(str(error).splitlines()[0])}"
        ) from error
    return engine


def _parsed(text: str) -> Any:
    """Parse JSON with pydantic's parser, which is twice as fast: evidence is megabytes of it."""
    return from_json(text, cache_strings="keys")


def _sqlite_settings(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA foreign_keys=ON")
    # A commit returns only once it would survive a power cut.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine, found: str | None) -> None:
    # Imported here: slow, and rarely needed.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # Its driver opens no transaction for DDL, and a half-migrated database could not be opened again.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ConfigError(
                f"the store has schema {found}, this version knows up to {HEAD}: use the newer version, "
                "or another --state"
            ) from error
