"""Accounts, their sessions and API tokens, and logins that wait for an OIDC provider."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = False, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable, primary_key=key)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _tenants() -> sa.Column[object]:
    return sa.Column("tenants", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True)


def upgrade() -> None:
    op.create_table(
        "accounts",
        _text("name", key=True),
        _text("role"),
        _tenants(),
        *(_text(name, nullable=True) for name in ("password_hash", "issuer", "subject")),
        _moment("created_at"),
        *(_moment(name, nullable=True) for name in ("disabled_at", "last_login_at")),
    )
    op.create_index("ix_accounts_subject", "accounts", ["issuer", "subject"], unique=True)
    op.create_table(
        "sessions", _text("digest", key=True), _text("account"), *map(_moment, ("created_at", "seen_at", "ends_at"))
    )
    op.create_index("ix_sessions_account", "sessions", ["account"])
    op.create_index("ix_sessions_ends_at", "sessions", ["ends_at"])
    op.create_table(
        "api_tokens",
        sa.Column("token_id", sa.Uuid(), primary_key=True),
        *map(_text, ("digest", "account", "name", "role")),
        _tenants(),
        *map(_moment, ("created_at", "expires_at")),
        *(_moment(name, nullable=True) for name in ("last_used_at", "revoked_at")),
    )
    op.create_index("ix_api_tokens_digest", "api_tokens", ["digest"], unique=True)
    op.create_index("ix_api_tokens_account", "api_tokens", ["account", "created_at"])
    op.create_table(
        "pending_logins",
        _text("digest", key=True),
        *map(_text, ("nonce", "verifier", "next")),
        _moment("ends_at"),
    )
    op.create_index("ix_pending_logins_ends_at", "pending_logins", ["ends_at"])


def downgrade() -> None:
    for table in ("pending_logins", "api_tokens", "sessions", "accounts"):
        op.drop_table(table)
