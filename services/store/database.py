"""A database and its transactions: SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlmodel import create_engine

from services.errors import SettingsError, TransientError, UnstorableError

_BACKENDS: Final = ("postgresql", "sqlite")
_WRITES: Final = "plumbline_writes"

Transaction = Connection
"""An open connection inside a transaction: what the statements of this package take as their first argument."""


def open_engine(url: str) -> Engine:
    """An engine for a SQLite or PostgreSQL URL; makes a SQLite file's folder. Raises `SettingsError` for others."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in _BACKENDS:
            raise SettingsError("PLUMBLINE_DATABASE_URL: only sqlite:///… and postgresql+psycopg://… are supported")
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError):  # ValueError: a port that is no number
        problem = "not a database URL, or one for a driver that is not installed"
        raise SettingsError(f"PLUMBLINE_DATABASE_URL: {problem}") from None
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _share_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _share_sqlite(connection: Any, _: object) -> None:
    """Readers do not wait for the writer, and writers wait for each other."""
    connection.isolation_level = None  # transactions begin where we say, and as we say
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA busy_timeout=10000")


def _begin_sqlite(connection: Connection) -> None:
    """A transaction that will write takes its place at once: one that only turns to writing later may be refused."""
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def writing(engine: Engine) -> Iterator[Transaction]:
    """A transaction that writes: all or nothing."""
    with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        yield connection


class Database:
    """Transactions, with an error that says when trying again makes sense."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Raises `TransientError` where the database is away."""
        with _told(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """All or nothing. Raises `TransientError` where the database is away, or asks for another try."""
        with _told(), writing(self.engine) as connection:
            yield connection


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise TransientError(f"database: {type(error.orig).__name__}") from error
    except DataError as error:
        raise UnstorableError("there is something in it that cannot be stored") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise TransientError(f"database: {type(error.orig).__name__}") from error
        raise
