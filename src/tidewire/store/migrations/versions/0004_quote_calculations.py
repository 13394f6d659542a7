"""The newest calculation of each quote.

Revision: 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "quote_calculations",
        sa.Column("quote_id", sa.String(36), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("calculation_id", sa.String(40), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("based_on_version", sa.Integer(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("deadline_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("error", JSON, nullable=True),
        sa.PrimaryKeyConstraint("quote_id", name="pk_quote_calculations"),
        sa.ForeignKeyConstraint(["quote_id"], ["quotes.id"], name="fk_quote_calculations_quote_id"),
    )
    op.create_index("ix_quote_calculations_told_deadline_at", "quote_calculations", ["told", "deadline_at"])


def downgrade() -> None:
    """Drop the table with everything in it."""
    op.drop_table("quote_calculations")
