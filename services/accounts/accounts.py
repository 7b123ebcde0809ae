"""Everything about accounts, as configured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.accounts.auditing import Audit
from services.accounts.federated import FederatedLogins
from services.accounts.mapping import AccessRules
from services.accounts.oidc import Provider
from services.accounts.passwords import Passwords
from services.accounts.people import People
from services.accounts.sessions import Sessions
from services.accounts.tokens import Tokens
from services.settings import Settings
from services.store.audit import append
from services.store.database import Database

CALLBACK = "/login/callback"
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Accounts:
    """`federated` is None where no OIDC provider is configured."""

    people: People
    sessions: Sessions
    tokens: Tokens
    federated: FederatedLogins | None = None

    @classmethod
    def configured(
        cls,
        settings: Settings,
        database: Database,
        clock: Clock,
        *,
        passwords: Passwords | None = None,
        audit: Audit = append,
    ) -> Accounts:
        """As `settings` say."""
        passwords = passwords or Passwords()
        idle, lifetime = timedelta(minutes=settings.session_idle_minutes), timedelta(hours=settings.session_hours)
        sessions = Sessions(database, passwords, audit, clock, idle, lifetime)
        return cls(
            people=People(database, passwords, audit, clock),
            sessions=sessions,
            tokens=Tokens(database, audit, clock),
            federated=_federated(settings, database, clock, sessions, audit),
        )

    def exists(self, name: str) -> bool:
        """Whether it can be given work: it is there, and not disabled."""
        return self.people.exists(name)


def _federated(
    settings: Settings, database: Database, clock: Clock, sessions: Sessions, audit: Audit
) -> FederatedLogins | None:
    if settings.oidc_issuer is None or settings.oidc_client_id is None or settings.web_url is None:
        return None
    secret = settings.oidc_client_secret
    provider = Provider(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=secret.get_secret_value() if secret else None,
        redirect_uri=settings.web_url.rstrip("/") + CALLBACK,
        clock=clock,
        scopes=settings.oidc_scopes,
    )
    rules = AccessRules(
        claim=settings.oidc_role_claim,
        roles=settings.oidc_roles,
        tenants=settings.oidc_tenants,
        default_role=settings.oidc_default_role,
    )
    return FederatedLogins(provider, rules, settings.oidc_name_claim, sessions, database, audit, clock)
