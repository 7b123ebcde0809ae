"""The whole application behind its doors, and people who sign in to it, for tests of API and pages."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from argon2 import PasswordHasher
from fastapi import FastAPI
from starlette.testclient import TestClient

from services.accounts.accounts import Accounts
from services.accounts.passwords import Passwords
from services.accounts.principal import Role
from services.privacy.sealing import Sealer
from services.rollout.revisions import Registry
from services.settings import load_settings
from services.store import Database, Store
from services.triage.configured import actions_of, archivist_of, salt_of
from services.triage.desk import Desk
from services.web.app import make_app
from services.web.loop.collaborators import rollouts_of
from services.web.services import WebServices
from tests.triage_data import NOW, event, verdict

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HOST = "http://triage.example.org"


@dataclass
class Clock:
    """Stands still until somebody turns it."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class Web:
    """The application, and how to get into it."""

    app: FastAPI
    services: WebServices
    clock: Clock
    passwords: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return Store(self.services.database.engine)

    def token(self, name: str, role: Role = Role.TRIAGER, tenants: frozenset[str] | None = None) -> dict[str, str]:
        """Headers of a program that acts for `name`."""
        self.person(name, role, tenants)
        made = self.services.accounts.tokens.create(name, "test", role, tenants, timedelta(days=1), by="test")
        return {"Authorization": f"Bearer {made.secret}"}

    def person(self, name: str, role: Role = Role.TRIAGER, tenants: frozenset[str] | None = None) -> str:
        """The password of an account, which is made where it is not there."""
        if name not in self.passwords:
            self.passwords[name] = self.services.accounts.people.create(name, role, tenants, by="test")
        return self.passwords[name]

    def client(self, headers: dict[str, str] | None = None) -> TestClient:
        return TestClient(self.app, base_url=HOST, headers=headers, raise_server_exceptions=False)

    def signed_in(self, name: str, role: Role = Role.TRIAGER, tenants: frozenset[str] | None = None) -> TestClient:
        """A browser with a session, which sends its CSRF token along."""
        client = self.client()
        page = client.get("/login").text
        form = {"account": name, "password": self.person(name, role, tenants), "csrf_token": csrf_of(page)}
        assert client.post("/login", data=form, follow_redirects=False).status_code == 303
        return client

    def record(self, conversation: str = "c1", *, tenant: str = "acme", **fields: Any) -> str:
        """The id of the case of a conversation that is flagged now, with what was said in it."""
        of = event(conversation, tenant=tenant, **fields.pop("event", {}))
        archivist = archivist_of(self.services.settings, salt_of(self.services.database))
        self.store.record([verdict(of, **fields)], [], [archivist.redacted(of)], now=self.clock())
        found = [
            case
            for case in self.store.cases(limit=1000, now=self.clock())
            if (case.tenant_id, case.lead_conversation_id) == (tenant, conversation)
        ]
        return str(found[0].case_id)


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf[_-]token"[^>]*(?:value|content)="([^"]+)"', page)
    assert found is not None
    return found[1]


def make_web(
    database: Database, clock: Clock | None = None, *, registry: Registry | None = None, **settings: Any
) -> Web:
    clock = clock or Clock()
    made = load_settings(**{"web_hosts": "triage.example.org", "second_review_share": 0.0, **settings})
    accounts = Accounts.configured(made, database, clock, passwords=Passwords(QUICK))
    salt = salt_of(database)
    services = WebServices(
        database=database,
        settings=made,
        clock=clock,
        accounts=accounts,
        actions=actions_of(made, salt),
        desk=Desk(database),
        sealer=Sealer.configured(made),
        rollouts=rollouts_of(made, database, salt, clock, registry),
    )
    return Web(make_app(services), services, clock)
