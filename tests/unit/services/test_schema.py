"""Migrations: they make exactly the tables that the store uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect
from sqlmodel import SQLModel

from services.errors import ServicesError, TransientError
from services.schema import is_current, upgrade
from services.store import Store, open_engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}/new.db")
    yield engine
    engine.dispose()


def test_a_new_database_is_not_current_until_it_was_upgraded(engine: Engine) -> None:
    assert not is_current(engine)
    upgrade(engine)
    assert is_current(engine)
    assert Store(engine).coverage().events == 0


def test_upgrading_twice_is_fine(engine: Engine) -> None:
    upgrade(engine)
    upgrade(engine)
    assert is_current(engine)


def test_the_migrations_make_exactly_the_tables_of_the_store(engine: Engine) -> None:
    upgrade(engine)
    with engine.connect() as connection:
        # This index is for PostgreSQL alone, where the same comparison is made in tests/integration.
        elsewhere = {"include_object": lambda _, name, *__: name != "ix_conversation_texts_words"}
        context = MigrationContext.configure(connection, opts={"compare_type": True, **elsewhere})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_primary_keys_are_those_of_the_tables(engine: Engine) -> None:
    upgrade(engine)
    inspector = inspect(engine)
    for table in SQLModel.metadata.sorted_tables:
        key = inspector.get_pk_constraint(table.name)["constrained_columns"]
        assert key == [column.name for column in table.primary_key.columns]


def test_a_database_that_cannot_be_reached_is_worth_another_try(tmp_path: Path) -> None:
    folder = open_engine(f"sqlite:///{tmp_path}")
    with pytest.raises(TransientError, match="database"):
        upgrade(folder)
    with pytest.raises(TransientError, match="PLUMBLINE_DATABASE_URL"):
        is_current(folder)


def test_a_file_that_is_no_database_is_named_as_that(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("not a database at all " * 100)
    with pytest.raises(ServicesError, match="PLUMBLINE_DATABASE_URL"):
        is_current(open_engine(f"sqlite:///{path}"))
