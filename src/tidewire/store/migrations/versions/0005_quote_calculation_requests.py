"""Requests for calculations that were sent with an Idempotency-Key, so that each is done once.

Revision: 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "quote_calculation_requests",
        sa.Column("quote_id", sa.String(36), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=False),
        sa.Column("op_id", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("calculation_id", sa.String(40), nullable=False),
        sa.Column("based_on_version", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("deadline_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("quote_id", "actor_id", "op_id", name="pk_quote_calculation_requests"),
        sa.ForeignKeyConstraint(["quote_id"], ["quotes.id"], name="fk_quote_calculation_requests_quote_id"),
    )


def downgrade() -> None:
    """Drop the table with everything in it."""
    op.drop_table("quote_calculation_requests")
