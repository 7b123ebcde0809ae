"""The loop: labels from the queue, runs and requests; how long a verdict took, and finding verdicts by arm."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _json(name: str) -> sa.Column[object]:
    kind = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    return sa.Column(name, kind, nullable=True)


def upgrade() -> None:
    op.add_column("verdicts", sa.Column("seconds", sa.Float(), nullable=True))
    op.create_index("ix_verdicts_arm", "verdicts", ["arm", "recorded_at"])
    op.create_table(
        "queued_labels",
        sa.Column("label_id", sa.Uuid(), primary_key=True),
        *map(_text, ("tenant_id", "conversation_id", "state", "disposition")),
        _text("category", nullable=True),
        _json("record"),
        _moment("labelled_at"),
        _moment("received_at"),
        sa.Column("counted_in", sa.Uuid(), nullable=True),
    )
    op.create_index("ix_queued_labels_conversation", "queued_labels", ["tenant_id", "conversation_id"])
    op.create_index("ix_queued_labels_new", "queued_labels", ["counted_in", "state", "received_at"])
    op.create_table(
        "retraining_runs",
        sa.Column("run_id", sa.Uuid(), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False, unique=True),
        *map(_text, ("trigger", "reason")),
        _text("requested_by", nullable=True),
        *map(_text, ("mode", "stage")),
        sa.Column("progress", sa.Float(), nullable=False),
        *(_text(name, nullable=True) for name in ("outcome", "said", "champion", "dataset", "candidate")),
        _json("report"),
        sa.Column("new_labels", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _moment("started_at"),
        _moment("stage_began_at"),
        _moment("ended_at", nullable=True),
    )
    op.create_index("ix_retraining_runs_started_at", "retraining_runs", ["started_at"])
    op.create_table(
        "retraining_requests",
        sa.Column("request_id", sa.Uuid(), primary_key=True),
        *map(_text, ("requested_by", "reason")),
        _text("mode", nullable=True),
        _moment("requested_at"),
        sa.Column("run_id", sa.Uuid(), nullable=True),
    )


def downgrade() -> None:
    for table in ("retraining_requests", "retraining_runs", "queued_labels"):
        op.drop_table(table)
    op.drop_index("ix_verdicts_arm", "verdicts")
    op.drop_column("verdicts", "seconds")
