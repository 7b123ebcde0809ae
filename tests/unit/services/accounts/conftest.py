"""A provider that runs, and us as its client."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from services.accounts.accounts import Accounts
from services.accounts.federated import FederatedLogins
from services.store import Database, open_engine
from tests.identity import Clock, accounts_of
from tests.oidc_provider import CLIENT, SECRET, LittleProvider, running_provider

SETTINGS = {
    "web_url": "https://triage.example.org",
    "oidc_client_id": CLIENT,
    "oidc_client_secret": SECRET,
    "oidc_roles": json.dumps({"soc": "triager", "leads": "admin"}),
    "oidc_tenants": json.dumps({"soc": ["acme"], "leads": ["*"]}),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(clock: Clock) -> Iterator[LittleProvider]:
    with running_provider(clock) as running:
        running.person["groups"] = ["soc"]
        yield running


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    engine = open_engine(database_url)
    yield Database(engine)
    engine.dispose()


@pytest.fixture
def accounts(database: Database, clock: Clock, provider: LittleProvider) -> Accounts:
    return accounts_of(database, clock, oidc_issuer=provider.issuer, **SETTINGS)


@pytest.fixture
def logins(accounts: Accounts) -> FederatedLogins:
    assert accounts.federated is not None
    return accounts.federated
