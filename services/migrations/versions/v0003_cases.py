"""Cases: flagged conversations that somebody has to look at."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "cases",
        sa.Column("tenant_id", sa.Text(), primary_key=True),
        sa.Column("conversation_id", sa.Text(), primary_key=True),
        _moment("opened_at"),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("flagged_verdicts", sa.Integer(), nullable=False),
        sa.Column("last_verdict_id", sa.Uuid(), nullable=False),
        _moment("last_flagged_at"),
        _moment("acknowledged_at", nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
    )
    op.create_index("ix_cases_acknowledged_at", "cases", ["acknowledged_at"])


def downgrade() -> None:
    op.drop_table("cases")
