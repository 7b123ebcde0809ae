"""Verdicts and dead letters."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def upgrade() -> None:
    op.create_table(
        "verdicts",
        sa.Column("verdict_id", sa.Uuid(), primary_key=True),
        *map(_text, ("event_id", "tenant_id", "conversation_id")),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        _text("status"),
        _text("reason", nullable=True),
        sa.Column("misalignment", sa.Float(), nullable=True),
        sa.Column("flags", sa.Integer(), nullable=False),
        *map(_json, ("scores", "flagged", "thresholds", "evidence", "detectors")),
        *map(_text, ("bundle_version", "arm", "stage")),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        *map(_moment, ("occurred_at", "decided_at", "recorded_at")),
    )
    op.create_index("ix_verdicts_conversation", "verdicts", ["tenant_id", "conversation_id"])
    op.create_index("ix_verdicts_event", "verdicts", ["tenant_id", "event_id"])
    op.create_index("ix_verdicts_flags_decided_at", "verdicts", ["flags", "decided_at"])
    op.create_index("ix_verdicts_decided_at", "verdicts", ["decided_at"])
    op.create_table(
        "dead_letters",
        sa.Column("topic", sa.Text(), primary_key=True),
        sa.Column("partition", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("offset", sa.BigInteger(), primary_key=True, autoincrement=False),
        *map(_text, ("code", "reason")),
        sa.Column("bytes", sa.Integer(), nullable=False),
        *map(_moment, ("died_at", "recorded_at")),
    )


def downgrade() -> None:
    op.drop_table("dead_letters")
    op.drop_table("verdicts")
