"""Why a verdict is no better than it is, and what was observed of its event."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("verdicts", sa.Column("cause", sa.Text(), nullable=True))
    op.add_column("verdicts", sa.Column("observed", sa.JSON().with_variant(postgresql.JSONB(), "postgresql")))


def downgrade() -> None:
    op.drop_column("verdicts", "observed")
    op.drop_column("verdicts", "cause")
