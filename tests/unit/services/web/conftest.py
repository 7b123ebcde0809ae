"""A browser and a program before a small application."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from services.accounts.accounts import Accounts
from services.store import Database, open_engine
from tests.identity import Clock, little_app, new_browser
from tests.web_data import filled as filled
from tests.web_data import web as web


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    engine = open_engine(database_url)
    yield Database(engine)
    engine.dispose()


@pytest.fixture
def app(database: Database, clock: Clock) -> FastAPI:
    return little_app(database, clock)


@pytest.fixture
def accounts(app: FastAPI) -> Accounts:
    found: Accounts = app.state.services.accounts
    return found


@pytest.fixture
def browser(app: FastAPI) -> TestClient:
    return new_browser(app)
