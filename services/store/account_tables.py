"""Tables of accounts and of what stands for one. `services/migrations` creates them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from services.store.columns import json_column, text_column


class AccountRow(SQLModel, table=True):
    """One account: see `services.accounts.account.Account`. `tenants` NULL: all."""

    __tablename__ = "accounts"
    __table_args__ = (Index("ix_accounts_subject", "issuer", "subject", unique=True),)

    name: str = Field(sa_column=text_column(primary_key=True))
    role: str = Field(sa_column=text_column())
    tenants: list[str] | None = Field(default=None, sa_column=json_column(nullable=True))
    password_hash: str | None = Field(default=None, sa_column=text_column(nullable=True))
    issuer: str | None = Field(default=None, sa_column=text_column(nullable=True))
    subject: str | None = Field(default=None, sa_column=text_column(nullable=True))
    created_at: datetime
    disabled_at: datetime | None = None
    last_login_at: datetime | None = None


class SessionRow(SQLModel, table=True):
    """A session in a browser, by the digest of its secret."""

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_account", "account"), Index("ix_sessions_ends_at", "ends_at"))

    digest: str = Field(sa_column=text_column(primary_key=True))
    account: str = Field(sa_column=text_column())
    created_at: datetime
    seen_at: datetime
    ends_at: datetime


class ApiTokenRow(SQLModel, table=True):
    """An API token, by the digest of its secret. `tenants` NULL: all of the owner's."""

    __tablename__ = "api_tokens"
    __table_args__ = (
        Index("ix_api_tokens_digest", "digest", unique=True),
        Index("ix_api_tokens_account", "account", "created_at"),
    )

    token_id: UUID = Field(primary_key=True)
    digest: str = Field(sa_column=text_column())
    account: str = Field(sa_column=text_column())
    name: str = Field(sa_column=text_column())
    role: str = Field(sa_column=text_column())
    tenants: list[str] | None = Field(default=None, sa_column=json_column(nullable=True))
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


class PendingLoginRow(SQLModel, table=True):
    """A login that waits for the OIDC provider's answer: taken once, and gone with that."""

    __tablename__ = "pending_logins"
    __table_args__ = (Index("ix_pending_logins_ends_at", "ends_at"),)

    digest: str = Field(sa_column=text_column(primary_key=True))
    nonce: str = Field(sa_column=text_column())
    verifier: str = Field(sa_column=text_column())
    next: str = Field(sa_column=text_column())
    ends_at: datetime
