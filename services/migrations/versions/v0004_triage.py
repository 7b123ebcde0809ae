"""Triage: conversations, cases of several conversations, labels, reviews, alerts, outbox, audit log.

A case was a conversation, and becomes one with an id of its own that holds that conversation.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NAMESPACE = UUID("7b0c6d0e-5b1e-5d0f-8f0a-3f6e0c1d2a44")
_RANKS = {"critical": 0, "high": 1, "medium": 2}
_ANSWER_HOURS = {"critical": 0.25, "high": 4, "medium": 24}
_DECIDE_HOURS = {"critical": 4, "high": 24, "medium": 120}


def _text(name: str, *, nullable: bool = False, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable, primary_key=key)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _json(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=nullable)


def _uuid(name: str, *, nullable: bool = False, key: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid(), nullable=nullable, primary_key=key)


def _integer(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _counting(name: str, *, by_itself: bool = True) -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, kind, primary_key=True, autoincrement=by_itself)


def upgrade() -> None:
    _conversations()
    _cases()
    _labels()
    _edges()


def _conversations() -> None:
    op.create_table(
        "conversations",
        _text("tenant_id", key=True),
        _text("conversation_id", key=True),
        _text("subject", nullable=True),
        *map(_json, ("agent", "model", "deployment")),
        *map(_integer, ("messages", "redactions")),
        _flag("final"),
        *map(_moment, ("started_at", "last_at", "recorded_at")),
    )
    op.create_index("ix_conversations_subject", "conversations", ["tenant_id", "subject"])
    op.create_index("ix_conversations_last_at", "conversations", ["last_at"])
    op.create_table(
        "messages",
        _text("tenant_id", key=True),
        _text("conversation_id", key=True),
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        *map(_text, ("message_id", "role")),
        _json("content"),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        _moment("occurred_at"),
    )
    op.create_table(
        "conversation_texts",
        _text("tenant_id", key=True),
        _text("conversation_id", key=True),
        sa.Column("words", sa.Text().with_variant(postgresql.TSVECTOR(), "postgresql"), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ix_conversation_texts_words", "conversation_texts", ["words"], postgresql_using="gin")


def _cases() -> None:
    op.drop_index("ix_cases_acknowledged_at", "cases")
    op.rename_table("cases", "cases_before")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX IF EXISTS cases_pkey RENAME TO cases_before_pkey")
    cases = op.create_table(
        "cases",
        _uuid("case_id", key=True),
        _text("tenant_id"),
        _text("fingerprint", nullable=True),
        _text("state"),
        _flag("waiting"),
        _text("severity"),
        _integer("rank"),
        _text("category"),
        *(_text(name, nullable=True) for name in ("agent", "model_version", "tool")),
        _text("origin"),
        sa.Column("score", sa.Float(), nullable=True),
        _text("lead_conversation_id"),
        _uuid("last_verdict_id"),
        *map(_integer, ("conversations", "flagged_verdicts")),
        *(_text(name, nullable=True) for name in ("sketch", "signature", "owner")),
        _moment("snoozed_until", nullable=True),
        *map(_moment, ("opened_at", "last_flagged_at", "answer_by", "decide_by")),
        _moment("acknowledged_at", nullable=True),
        _text("acknowledged_by", nullable=True),
        _moment("decided_at", nullable=True),
        _moment("resolved_at", nullable=True),
        _uuid("merged_into", nullable=True),
        *map(_integer, ("regressions", "version")),
        _moment("updated_at"),
    )
    op.create_index("ix_cases_queue", "cases", ["waiting", "rank", "opened_at", "case_id"])
    op.create_index("ix_cases_opened_at", "cases", ["opened_at", "case_id"])
    op.create_index("ix_cases_fingerprint", "cases", ["tenant_id", "fingerprint", "last_flagged_at"])
    op.create_index("ix_cases_kin", "cases", ["tenant_id", "category", "last_flagged_at"])
    op.create_index("ix_cases_acknowledged_at", "cases", ["acknowledged_at"])
    members = op.create_table(
        "case_conversations",
        _text("tenant_id", key=True),
        _text("conversation_id", key=True),
        _uuid("case_id"),
        _moment("added_at"),
        _integer("flagged_verdicts"),
        _uuid("last_verdict_id"),
        _text("category"),
        sa.Column("score", sa.Float(), nullable=True),
    )
    op.create_index("ix_case_conversations_case", "case_conversations", ["case_id", "added_at"])
    op.create_index("ix_case_conversations_conversation", "case_conversations", ["conversation_id"])
    op.create_table(
        "case_events",
        _counting("event_id"),
        _uuid("case_id"),
        _text("tenant_id"),
        _moment("at"),
        *map(_text, ("actor", "kind")),
        _json("data"),
    )
    op.create_index("ix_case_events_case", "case_events", ["case_id", "event_id"])
    _carry_over(cases, members)
    op.drop_table("cases_before")


def _carry_over(cases: sa.Table, members: sa.Table) -> None:
    """Every case there was, in the new shape."""
    before = sa.table(
        "cases_before",
        *(sa.column(name, sa.Text()) for name in ("tenant_id", "conversation_id", "severity", "category")),
        *(sa.column(name, sa.DateTime(timezone=True)) for name in ("opened_at", "last_flagged_at", "acknowledged_at")),
        sa.column("flagged_verdicts", sa.Integer()),
        sa.column("last_verdict_id", sa.Uuid()),
        sa.column("acknowledged_by", sa.Text()),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(before)).mappings().all():
        case, member = _new_shape(dict(row))
        connection.execute(cases.insert().values(case))
        connection.execute(members.insert().values(member))


def _new_shape(row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    severity = str(row["severity"])
    opened = _aware(row["opened_at"])
    flagged = _aware(row["last_flagged_at"])
    seen = row["acknowledged_at"] and _aware(row["acknowledged_at"])
    tenant, conversation = str(row["tenant_id"]), str(row["conversation_id"])
    case_id = uuid5(_NAMESPACE, f"{len(tenant)}:{tenant}{conversation}")
    case = {
        "case_id": case_id,
        "tenant_id": tenant,
        "state": "acknowledged" if seen else "open",
        "waiting": True,
        "severity": severity,
        "rank": _RANKS.get(severity, 2),
        "category": row["category"],
        "origin": "flag",
        "lead_conversation_id": conversation,
        "last_verdict_id": row["last_verdict_id"],
        "conversations": 1,
        "flagged_verdicts": row["flagged_verdicts"],
        "opened_at": opened,
        "last_flagged_at": flagged,
        "answer_by": opened + timedelta(hours=_ANSWER_HOURS.get(severity, 24)),
        "decide_by": opened + timedelta(hours=_DECIDE_HOURS.get(severity, 120)),
        "acknowledged_at": seen,
        "acknowledged_by": row["acknowledged_by"],
        "regressions": 0,
        "version": 1,
        "updated_at": flagged,
    }
    member = {
        "tenant_id": tenant,
        "conversation_id": conversation,
        "case_id": case_id,
        "added_at": opened,
        "flagged_verdicts": row["flagged_verdicts"],
        "last_verdict_id": row["last_verdict_id"],
        "category": row["category"],
    }
    return case, member


def _aware(moment: Any) -> datetime:
    """SQLite knows no time zones: what it gives is UTC."""
    aware: datetime = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware


def _labels() -> None:
    op.create_table(
        "labels",
        _uuid("label_id", key=True),
        _uuid("case_id"),
        *map(_text, ("tenant_id", "conversation_id")),
        _uuid("verdict_id"),
        *map(_text, ("reviewer", "disposition")),
        _text("category", nullable=True),
        _json("spans"),
        _text("corrected_answer", nullable=True),
        _text("comment", nullable=True),
        _text("source"),
        _flag("blind"),
        sa.Column("seconds", sa.Float(), nullable=True),
        _uuid("supersedes", nullable=True),
        _text("bundle_version"),
        _moment("created_at"),
    )
    op.create_index("ix_labels_conversation", "labels", ["tenant_id", "conversation_id"])
    op.create_index("ix_labels_created_at", "labels", ["created_at", "label_id"])
    op.create_index("ix_labels_case", "labels", ["case_id"])
    op.create_index("ix_labels_supersedes", "labels", ["supersedes"])
    op.create_table(
        "reviews",
        _uuid("review_id", key=True),
        _uuid("case_id"),
        *map(_text, ("tenant_id", "conversation_id")),
        _uuid("verdict_id"),
        _text("first_reviewer"),
        _moment("created_at"),
        _text("done_by", nullable=True),
        _moment("done_at", nullable=True),
        _uuid("label_id", nullable=True),
    )
    op.create_index("ix_reviews_done_at", "reviews", ["done_at", "created_at"])
    op.create_index("ix_reviews_case", "reviews", ["case_id"])


def _edges() -> None:
    op.create_table(
        "alerts",
        _text("fingerprint", key=True),
        *map(_text, ("alertname", "status")),
        *(_text(name, nullable=True) for name in ("severity", "tenant_id", "conversation_id")),
        _uuid("case_id", nullable=True),
        _json("labels"),
        _moment("starts_at"),
        _moment("ends_at", nullable=True),
        _moment("received_at"),
        _text("silence_id", nullable=True),
    )
    op.create_index("ix_alerts_case", "alerts", ["case_id"])
    op.create_index("ix_alerts_status", "alerts", ["status", "received_at"])
    op.create_table(
        "outbox",
        _counting("number"),
        sa.Column("message_id", sa.Uuid(), nullable=False, unique=True),
        *map(_text, ("channel", "topic", "key")),
        _json("value"),
        _uuid("subject_id"),
        *map(_moment, ("created_at", "not_before")),
        _json("sending_from", nullable=True),
        _integer("attempts"),
        _text("outcome", nullable=True),
        _moment("done_at", nullable=True),
    )
    op.create_index("ix_outbox_waiting", "outbox", ["done_at", "not_before", "number"])
    op.create_index("ix_outbox_subject", "outbox", ["subject_id"])
    op.create_table(
        "idempotency_keys",
        _text("account", key=True),
        _text("key", key=True),
        _text("request"),
        _json("answer", nullable=True),
        _moment("created_at"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency_keys", ["created_at"])
    op.create_table(
        "audit_log",
        _counting("number", by_itself=False),
        _moment("at"),
        *map(_text, ("actor", "action", "object")),
        _json("details"),
        *map(_text, ("previous", "hash")),
    )
    op.create_table(
        "erasures",
        _uuid("erasure_id", key=True),
        *map(_text, ("tenant_id", "digest", "reason", "actor")),
        _json("counts"),
        _moment("at"),
    )
    op.create_table("installation", _text("name", key=True), _text("value"))


def downgrade() -> None:
    """Cases cannot become conversations again: what was decided since would be lost."""
    raise NotImplementedError("there is no way back before triage: restore a backup")
