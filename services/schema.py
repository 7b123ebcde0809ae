"""Brings a database to the current schema."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import DatabaseError, OperationalError

from services.errors import ServicesError, TransientError
from services.store.database import Database, open_engine, writing

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x706C756D  # "plum": any number that no other application on the server uses for an advisory lock


def upgrade(engine: Engine) -> None:
    """Runs all migrations that are missing. Several processes may call this at once. Raises `TransientError`."""
    config = _config()
    try:
        with writing(engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as error:
        raise TransientError(f"database: {type(error.orig).__name__}") from error


def is_current(engine: Engine) -> bool:
    """Whether no migration is missing. Raises `TransientError` where the database cannot be reached.

    Raises `ServicesError` where what is there is no database.
    """
    try:
        with engine.connect() as connection:
            there = MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        raise TransientError(
            f"the database cannot be reached (PLUMBLINE_DATABASE_URL): {type(error.orig).__name__}"
        ) from error
    except DatabaseError as error:
        raise ServicesError(f"not a database that can be read (PLUMBLINE_DATABASE_URL): {error.orig}") from error
    return there == ScriptDirectory.from_config(_config()).get_current_head()


def current_database(url: str) -> Database:
    """The database, with the current schema. Raises `ServicesError` where it has none, or an older one."""
    engine = open_engine(url)
    if not is_current(engine):
        raise ServicesError("the database has no (current) schema yet: `plumbline record` brings it up to date")
    return Database(engine)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
